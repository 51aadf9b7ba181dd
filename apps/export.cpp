// osprey export: a network with its weights as a file of another format.
#include <fmt/core.h>

#include <memory>

#include "apps/commands.h"
#include "apps/load.h"
#include "core/error.h"
#include "models/onnx_export.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  std::string output;
  int batch = 0;
  bool raw = false;
};

std::string text_of(const onnx::Value& value) {
  std::string text = value.name + " [";
  for (size_t i = 0; i < value.sides.size(); ++i) {
    if (i > 0) text += ",";
    text += value.sides[i] == onnx::kAnyBatch ? "N" : std::to_string(value.sides[i]);
  }
  return text + "]";
}

void run_export(Arguments& a) {
  if (!a.output.ends_with(".onnx")) fail("{}: expected a name that ends with .onnx", a.output);
  a.load.keep_all = true;               // no layer does the work of another
  a.load.device.convolution_name = "reference";  // which does not pack the weights
  const auto network = load_network(a.load);
  const onnx::Model model = to_onnx(*network, {a.batch > 0 ? a.batch : onnx::kAnyBatch, a.raw});
  onnx::write_model(a.output, model);
  std::string values = text_of(model.inputs[0]) + " ->";
  for (const onnx::Value& value : model.outputs) values += " " + text_of(value);
  fmt::print("{}: {}, {} operators of opset {}\n", a.output, values, model.nodes.size(), onnx::kOpset);
}

}  // namespace

void add_export(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "export", "Write a network as an .onnx file, for ONNX Runtime, TensorRT, OpenVINO and others");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command->add_option("output", a->output, "the .onnx file to write")->required();
  command->add_option("--batch", a->batch, "images at a time (default: any number, told when it runs)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--raw", a->raw, "outputs are what the heads read, not boxes and scores");
  command->add_flag("--lenient", a->load.lenient, "unknown keys are warnings, not errors");
  command->callback([a] { run_export(*a); });
}

}  // namespace osprey
