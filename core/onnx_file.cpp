#include "core/onnx_file.h"

#include <cstring>
#include <limits>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace osprey::onnx {
namespace {

// Numbers of protobuf: 7 bits a byte, the least first, and the highest bit says that more follow.
void put_number(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out += char(value | 128);
  out += char(value);
}

// A message is a row of fields. Each has a number, which the format's definition gives it, and a kind: 0 is a
// number, 2 so many bytes (a text, another message, or an array), 5 four bytes.
class Message {
 public:
  Message& number(int field, int64_t value) {
    begin(field, 0);
    put_number(bytes_, uint64_t(value));
    return *this;
  }
  Message& real(int field, float value) {
    begin(field, 5);
    char four[4];
    std::memcpy(four, &value, 4);
    bytes_.append(four, 4);
    return *this;
  }
  Message& text(int field, std::string_view value) {
    announce(field, value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  // The head of a field whose bytes follow, or are written elsewhere.
  Message& announce(int field, size_t bytes) {
    begin(field, 2);
    put_number(bytes_, bytes);
    return *this;
  }
  Message& append(const Message& fields) {
    bytes_ += fields.bytes_;
    return *this;
  }

  const std::string& bytes() const { return bytes_; }

 private:
  void begin(int field, int kind) { put_number(bytes_, uint64_t(field) << 3 | unsigned(kind)); }

  std::string bytes_;
};

enum AttributeType { kReal = 1, kWhole = 2, kText = 3, kWholes = 7 };  // AttributeProto.AttributeType

Message attribute(const Attribute& a) {
  Message m;
  m.text(1, a.name);
  if (const auto* real = std::get_if<float>(&a.value)) m.real(2, *real).number(20, kReal);
  if (const auto* whole = std::get_if<int64_t>(&a.value)) m.number(3, *whole).number(20, kWhole);
  if (const auto* text = std::get_if<std::string>(&a.value)) m.text(4, *text).number(20, kText);
  if (const auto* wholes = std::get_if<std::vector<int64_t>>(&a.value)) {
    for (const int64_t value : *wholes) m.number(8, value);
    m.number(20, kWholes);
  }
  return m;
}

Message node(const Node& n) {
  Message m;
  for (const std::string& name : n.inputs) m.text(1, name);
  for (const std::string& name : n.outputs) m.text(2, name);
  m.text(3, n.name).text(4, n.op);
  for (const Attribute& a : n.attributes) m.message(5, attribute(a));
  return m;
}

// ValueInfoProto: its type is a tensor's, with an element type and sides, each a number or a word.
Message value(const Value& v) {
  Message shape;
  for (const int64_t side : v.sides)
    shape.message(1, side > 0 ? Message().number(1, side) : Message().text(2, side == kAnyBatch ? "N" : "D"));
  const Message tensor = Message().number(1, kFloat).message(2, shape);
  return Message().text(1, v.name).message(2, Message().message(1, tensor));
}

std::string_view raw(const Constant& c) {
  if (c.integers.empty()) return {reinterpret_cast<const char*>(c.reals.data()), 4 * c.reals.size()};
  return {reinterpret_cast<const char*>(c.integers.data()), 8 * c.integers.size()};
}

// TensorProto but for its values, which follow.
Message head_of(const Constant& c) {
  Message m;
  for (const int64_t side : c.sides) m.number(1, side);
  m.number(2, c.integers.empty() ? kFloat : kInt64).text(8, c.name);
  m.announce(9, raw(c).size());
  return m;
}

// GraphProto but for its constants, which follow.
Message graph_of(const Model& model) {
  Message m;
  for (const Node& n : model.nodes) m.message(1, node(n));
  m.text(2, model.name);
  for (const Value& v : model.inputs) m.message(11, value(v));
  for (const Value& v : model.outputs) m.message(12, value(v));
  return m;
}

constexpr int kIrVersion = 7;  // of the file format, the one of opset 13

Message head_of(const Model& model) {
  Message m;
  m.number(1, kIrVersion).text(2, "osprey");
  m.message(8, Message().text(1, "").number(2, kOpset));
  for (const auto& [key, text] : model.metadata) m.message(14, Message().text(1, key).text(2, text));
  return m;
}

}  // namespace

// Weights are written from where they are: messages hold only what stands around them.
void write_model(const std::string& path, const Model& model) {
  const Message graph = graph_of(model);
  std::vector<Message> heads;
  size_t bytes = graph.bytes().size();
  for (const Constant& c : model.constants) {
    const Message head = head_of(c);
    heads.push_back(Message().announce(5, head.bytes().size() + raw(c).size()).append(head));
    bytes += heads.back().bytes().size() + raw(c).size();
  }
  const Message head = head_of(model).announce(7, bytes);
  if (head.bytes().size() + bytes > size_t(std::numeric_limits<int32_t>::max()))
    fail("{}: would be of {} bytes: files of ONNX must be smaller than 2 GB", path, bytes);

  AtomicFile file(path);
  const auto write = [&](std::string_view part) { file.write(part.data(), part.size()); };
  write(head.bytes());
  write(graph.bytes());
  for (size_t i = 0; i < heads.size(); ++i) {
    write(heads[i].bytes());
    write(raw(model.constants[i]));
  }
  file.commit();
}

}  // namespace osprey::onnx
