// NumPy's .npy files: how arrays travel between Osprey and the Python world.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace osprey {

// An array as it lies in its file: little-endian, C order (the last axis is contiguous).
struct Array {
  std::vector<int> shape;
  std::string type;  // "<f4", "<f8", "<i4", "<i8", "<u2", "|i1", "|u1" or "|b1"
  std::vector<char> bytes;

  int64_t size() const;  // elements; 1 for a scalar, whose shape is empty
  // All elements, converted as a C++ cast does. ints() refuses floating types and values outside int.
  std::vector<float> floats() const;
  std::vector<double> doubles() const;
  std::vector<int> ints() const;
};

// Reads versions 1.0 to 3.0. Throws Error: no such file, no .npy file, truncated or longer than its shape
// says, Fortran order, big-endian, or a type not listed above.
Array read_npy(const std::string& path);
// The same from bytes in memory; `name` is what errors call them.
Array parse_npy(const std::string& name, const std::string& bytes);

// Writes version 1.0. Throws Error when the file cannot be written.
void write_npy(const std::string& path, const float* data, const std::vector<int>& shape);
void write_npy(const std::string& path, const Array& array);

}  // namespace osprey
