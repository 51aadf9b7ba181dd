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
  std::string nms;
  DetectorSettings settings;
};

std::string text_of(const onnx::Value& value) {
  std::string text = value.name + " [";
  for (size_t i = 0; i < value.sides.size(); ++i) {
    if (i > 0) text += ",";
    const int64_t side = value.sides[i];
    text += side == onnx::kAnyBatch ? "N" : side == onnx::kAnyCount ? "D" : std::to_string(side);
  }
  return text + "]";
}

void run_export(Arguments& a) {
  if (!a.output.ends_with(".onnx")) fail("{}: expected a name that ends with .onnx", a.output);
  a.load.keep_all = true;                        // no layer does the work of another
  a.load.device.convolution_name = "reference";  // which does not pack the weights
  const auto network = load_network(a.load);
  OnnxOptions options{a.batch > 0 ? a.batch : onnx::kAnyBatch, a.raw, {}};
  if (!a.nms.empty()) options.suppressed = a.settings;
  const onnx::Model model = to_onnx(*network, options);
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
  CLI::Option* raw =
      command->add_flag("--raw", a->raw, "outputs are what the heads read, not boxes and scores");
  CLI::Option* nms =
      command
          ->add_option(
              "--nms", a->nms,
              "drop what is unlikely, and duplicates; hard is all that ONNX has. The output is a list of "
              "detections")
          ->check(CLI::IsMember({"hard"}))
          ->excludes(raw);
  command->add_option("--thresh", a->settings.threshold, "with --nms: scores are above it")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(nms)
      ->capture_default_str();
  command
      ->add_option(
          "--nms-threshold", a->settings.nms_threshold,
          "with --nms: of two boxes with more overlap the surer stays, 0: all stay; instead of nms_threshold")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(nms);
  command->add_flag("--lenient", a->load.lenient, "unknown keys are warnings, not errors");
  command->callback([a] { run_export(*a); });
}

}  // namespace osprey
