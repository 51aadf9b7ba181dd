#include "core/npy.h"

#include <bit>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace osprey {

static_assert(std::endian::native == std::endian::little, "arrays are copied to and from files as they are");

namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;

// The bytes of one element; 0 for a type that is not read.
int element_size(const std::string& type) {
  if (type == "<f8" || type == "<i8") return 8;
  if (type == "<f4" || type == "<i4") return 4;
  if (type == "<u2") return 2;
  if (type == "|i1" || type == "|u1" || type == "|b1") return 1;
  return 0;
}

// What follows 'key': in the header, a Python dictionary such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
std::string header_value(const std::string& path, const std::string& header, const std::string& key) {
  const size_t at = header.find("'" + key + "'");
  const size_t colon = at == std::string::npos ? at : header.find(':', at);
  const size_t value = colon == std::string::npos ? colon : header.find_first_not_of(" ", colon + 1);
  if (value == std::string::npos) fail("{}: the .npy header has no '{}'", path, key);
  return header.substr(value);
}

void check_type(const std::string& path, const std::string& type) {
  if (type.starts_with('>'))
    fail("{}: big-endian arrays ({}) are not read, expected little-endian", path, type);
  if (!element_size(type)) {
    fail("{}: arrays of type {} are not read, expected <f4, <f8, <i4, <i8, <u2, |i1, |u1 or |b1", path, type);
  }
}

std::string read_type(const std::string& path, const std::string& header) {
  const std::string text = header_value(path, header, "descr");
  const size_t end = text.find('\'', 1);
  if (text[0] != '\'' || end == std::string::npos)
    fail("{}: records are not read, expected one number type", path);
  return text.substr(1, end - 1);
}

std::vector<int> read_shape(const std::string& path, const std::string& header) {
  const std::string text = header_value(path, header, "shape");
  const size_t end = text.find(')');
  if (text[0] != '(' || end == std::string::npos) fail("{}: the .npy header's shape is no tuple", path);
  std::vector<int> shape;
  const char* next = text.c_str() + 1;
  const char* last = text.c_str() + end;
  while (next < last) {
    char* after = nullptr;
    const long long extent = std::strtoll(next, &after, 10);
    if (after == next || extent < 0 || extent > INT_MAX) {
      fail("{}: the .npy header's shape {} is not made of sizes 0 to {}", path, text.substr(0, end + 1),
           INT_MAX);
    }
    shape.push_back(int(extent));
    next = after + std::strspn(after, ", ");
  }
  return shape;
}

// The elements of a shape, or -1 when they do not fit into 63 bits.
int64_t count(const std::vector<int>& shape) {
  int64_t n = 1;
  for (int extent : shape) {
    if (__builtin_mul_overflow(n, int64_t(extent), &n)) return -1;
  }
  return n;
}

template <class From, class To>
std::vector<To> converted(const Array& array) {
  std::vector<To> values(array.bytes.size() / sizeof(From));
  for (size_t i = 0; i < values.size(); ++i) {
    From value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(From), sizeof(From));
    values[i] = To(value);
  }
  return values;
}

template <class To>
std::vector<To> numbers(const Array& array) {
  if (array.type == "<f4") return converted<float, To>(array);
  if (array.type == "<f8") return converted<double, To>(array);
  if (array.type == "<i4") return converted<int32_t, To>(array);
  if (array.type == "<i8") return converted<int64_t, To>(array);
  if (array.type == "<u2") return converted<uint16_t, To>(array);
  if (array.type == "|i1") return converted<int8_t, To>(array);
  return converted<uint8_t, To>(array);
}

}  // namespace

int64_t Array::size() const { return count(shape); }
std::vector<float> Array::floats() const { return numbers<float>(*this); }
std::vector<double> Array::doubles() const { return numbers<double>(*this); }

std::vector<int> Array::ints() const {
  if (type == "<f4" || type == "<f8") fail("an array of type {} was read as integers", type);
  const std::vector<int64_t> wide = numbers<int64_t>(*this);
  for (int64_t value : wide) {
    if (value < INT_MIN || value > INT_MAX) fail("the value {} of an array does not fit into 32 bits", value);
  }
  return {wide.begin(), wide.end()};
}

Array read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot open this .npy file", path);
  return parse_npy(path, {std::istreambuf_iterator<char>(file), {}});
}

Array parse_npy(const std::string& path, const std::string& all) {
  if (!all.starts_with(kMagic)) fail("{}: not a .npy file (it does not begin with \\x93NUMPY)", path);

  // Versions differ in the bytes that hold the header's length: 2 in 1.0, 4 since 2.0.
  const int version = all.size() > kMagicSize ? all[kMagicSize] : 0;
  const size_t length_bytes = version == 1 ? 2 : 4, start = kMagicSize + 2 + length_bytes;
  uint32_t length = 0;
  if (all.size() >= start) std::memcpy(&length, all.data() + kMagicSize + 2, length_bytes);
  if (all.size() < start || all.size() - start < length) fail("{}: truncated in the .npy header", path);
  if (version < 1 || version > 3) fail("{}: .npy version {}, expected 1 to 3", path, version);

  const std::string header = all.substr(start, length);
  Array array;
  array.type = read_type(path, header);
  check_type(path, array.type);
  if (!header_value(path, header, "fortran_order").starts_with("False")) {
    fail("{}: arrays in Fortran order are not read, save with numpy.ascontiguousarray", path);
  }
  array.shape = read_shape(path, header);
  const uint64_t data = all.size() - start - length;
  const int64_t elements = array.size();
  if (elements < 0 || uint64_t(elements) > data || uint64_t(elements) * element_size(array.type) != data) {
    fail("{}: {} bytes of data, but {} elements of type {} were expected (truncated?)", path, data, elements,
         array.type);
  }
  array.bytes.assign(all.begin() + int64_t(start + length), all.end());
  return array;
}

namespace {

void write(const std::string& path, const std::string& type, const std::vector<int>& shape,
           const char* bytes) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (";
  for (int extent : shape) header += std::to_string(extent) + ", ";
  header += "), }";
  // The data begins at a multiple of 64 bytes, and the header ends with a newline.
  const size_t prefix = kMagicSize + 4;
  header.append(63 - (prefix + header.size()) % 64, ' ');
  header += '\n';
  const uint16_t length = uint16_t(header.size());

  std::ofstream file(path, std::ios::binary);
  file.write(kMagic, kMagicSize);
  file.write("\x01\x00", 2);
  file.write(reinterpret_cast<const char*>(&length), 2);
  file.write(header.data(), int64_t(header.size()));
  file.write(bytes, count(shape) * element_size(type));
  file.flush();
  if (!file) fail("{}: cannot write this .npy file", path);
}

}  // namespace

void write_npy(const std::string& path, const float* data, const std::vector<int>& shape) {
  write(path, "<f4", shape, reinterpret_cast<const char*>(data));
}

void write_npy(const std::string& path, const Array& array) {
  write(path, array.type, array.shape, array.bytes.data());
}

}  // namespace osprey
