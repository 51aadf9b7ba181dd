// A network as ONNX's file format has it: a list of operators, each of which names the values that it reads
// and makes, and the constants among them. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
//
// The format is protobuf. It is written by hand here: of protobuf that needs two of its kinds of fields, and
// linking libonnx and libprotobuf would add 2.5 ms to every start of the program, 3.6 MB and four packages.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace osprey::onnx {

enum ElementType { kFloat = 1, kInt64 = 7 };  // TensorProto.DataType

struct Attribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

struct Node {
  std::string op, name;
  std::vector<std::string> inputs, outputs;  // an input without a name is one that is left out
  std::vector<Attribute> attributes;
};

// A constant, of one of two types: `integers` unless they are empty, else `reals`.
struct Constant {
  std::string name;
  std::vector<int64_t> sides;
  std::vector<float> reals;
  std::vector<int64_t> integers;
};

// What goes in or comes out of the whole: float32. These sides are told when the model runs.
constexpr int64_t kAnyBatch = 0, kAnyCount = -1;
struct Value {
  std::string name;
  std::vector<int64_t> sides;
};

struct Model {
  std::string name;
  std::vector<Node> nodes;  // each after those that it reads
  std::vector<Constant> constants;
  std::vector<Value> inputs, outputs;
  std::vector<std::pair<std::string, std::string>> metadata;
};

constexpr int kOpset = 13;  // the version of the operators' definitions: ONNX 1.8, 2020

// An Error if the file would be of 2 GB or more, which protobuf does not read.
void write_model(const std::string& path, const Model& model);

}  // namespace osprey::onnx
