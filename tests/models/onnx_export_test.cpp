// What the file of an export holds, taken apart, and what is refused. onnx_runtime_test.cpp runs such files.
#include "models/onnx_export.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// Enough of protobuf to take a file apart.
struct Field {
  int number;
  uint64_t value;     // of a number, else
  std::string bytes;  // a text or a message
};

std::vector<Field> fields_of(const std::string& message) {
  std::vector<Field> fields;
  size_t at = 0;
  const auto number = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.size()) {
    const uint64_t key = number();
    Field field{int(key >> 3), 0, ""};
    if ((key & 7) == 0) {
      field.value = number();
    } else {
      const size_t size = (key & 7) == 5 ? 4 : size_t(number());
      field.bytes = message.substr(at, size);
      EXPECT_EQ(field.bytes.size(), size);
      at += size;
    }
    fields.push_back(field);
  }
  return fields;
}

std::vector<std::string> texts(const std::string& message, int number) {
  std::vector<std::string> found;
  for (const Field& field : fields_of(message))
    if (field.number == number) found.push_back(field.bytes);
  return found;
}

TEST(OnnxExport, FileIsWhatTheFormatSays) {
  PlannedNetwork network(
      "[net]\nwidth=3\nheight=2\nchannels=2\n[convolutional]\nfilters=1\nactivation=leaky\n", 1, 0, 0,
      all_kept());
  for (const ParameterSpan& span : network.parameters().spans())
    fill_randomly(network.parameters().value(span), 0, span.name.ends_with("biases") ? 0.5f : 2.0f,
                  span.name.ends_with("biases") ? 0.5f : 2.0f);
  const Temporary folder;
  onnx::write_model(folder / "m.onnx", to_onnx(network, {}));
  const std::string model = read_file(folder / "m.onnx", "a model");

  EXPECT_EQ(fields_of(model)[0].value, 7u);  // the version of the format
  EXPECT_EQ(fields_of(texts(model, 8).at(0)).at(1).value, 13u);
  const std::string graph = texts(model, 7).at(0);
  std::vector<std::string> operators;
  for (const std::string& node : texts(graph, 1))
    operators.push_back(texts(node, 4).at(0) + " " + texts(node, 3).at(0));
  EXPECT_EQ(operators, (std::vector<std::string>{"Conv 0_convolutional/Conv", "LeakyRelu 0_convolutional",
                                                 "Identity output"}));
  const auto constants = texts(graph, 5);
  ASSERT_EQ(constants.size(), 2u);
  EXPECT_EQ(texts(constants[0], 8).at(0), "0_convolutional/weights");
  const float weights[] = {2, 2};
  EXPECT_EQ(texts(constants[0], 9).at(0), std::string(reinterpret_cast<const char*>(weights), 8));
  EXPECT_EQ(texts(texts(graph, 11).at(0), 1).at(0), "images");
  EXPECT_EQ(texts(texts(graph, 12).at(0), 1).at(0), "output");
}

void expect_no_export(const std::string& sections, const std::string& message) {
  PlannedNetwork network("[net]\nwidth=16\nheight=16\nchannels=3\n" + sections, 1, 0, 0, all_kept());
  EXPECT_EQ(error_of([&] { to_onnx(network, {}); }), message);
}

TEST(OnnxExport, RefusesWhatItHasNoOperatorsFor) {
  expect_no_export(
      "[maxpool]\nmaxpool_depth=1\nout_channels=2\n",
      "t.cfg:7: [maxpool] cannot be exported to ONNX: out_channels=2 does not divide the 3 channels");
  Network retina(read_cfg(OSPREY_SOURCE_DIR "/cfg/retinanet-tiny.cfg"), all_kept());
  retina.plan(1, retina.net().width, retina.net().height);
  retina.parameters().initialise(0);
  expect_in("[retina] cannot be exported to ONNX: no operators", error_of([&] { to_onnx(retina, {}); }));
  Network classifier(parse_cfg("[net]\nwidth=4\nheight=4\n[avgpool]\n[softmax]\n", "t.cfg"), all_kept());
  classifier.plan(1, 4, 4);
  const OnnxOptions suppressed{onnx::kAnyBatch, false, DetectorSettings{}};
  expect_in("t.cfg: --nms is for networks that detect", error_of([&] { to_onnx(classifier, suppressed); }));
}

}  // namespace
}  // namespace osprey
