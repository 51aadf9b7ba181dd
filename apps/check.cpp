// osprey check: what will go wrong with a training, before it.
#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/device.h"
#include "core/error.h"
#include "core/json_text.h"
#include "train/check.h"

namespace osprey {
namespace {

void print(const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    fmt::print("{:<8} {}\n", kSeverityNames[int(f.severity)], f.text);
    for (const std::string& example : f.examples) fmt::print("{:<8}   {}\n", "", example);
    if (f.count > int64_t(f.examples.size()) && !f.examples.empty())
      fmt::print("{:<8}   ... and {} more\n", "", f.count - int64_t(f.examples.size()));
  }
}

void print_json(const std::vector<Finding>& findings, const int64_t (&counts)[3]) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& f : findings)
    list.push_back({{"severity", kSeverityNames[int(f.severity)]},
                    {"what", f.what},
                    {"count", f.count},
                    {"text", f.text},
                    {"examples", f.examples}});
  const nlohmann::ordered_json all = {{"errors", counts[int(Severity::error)]},
                                      {"warnings", counts[int(Severity::warning)]},
                                      {"findings", list}};
  fmt::print("{}\n", json_text(all, 1));
}

void check(const CheckOptions& options, bool json) {
  const std::vector<Finding> findings = check_training(options);
  int64_t counts[3] = {};
  for (const Finding& f : findings) ++counts[int(f.severity)];
  json ? print_json(findings, counts) : print(findings);
  const int64_t errors = counts[int(Severity::error)], warnings = counts[int(Severity::warning)];
  if (errors) fail("{}: {} errors and {} warnings", options.data, errors, warnings);
  if (!json) fmt::print("{}: no errors, {} warnings\n", options.data, warnings);
}

}  // namespace

void add_check(CLI::App& app) {
  struct Arguments {
    CheckOptions options;
    DeviceOptions device;
    std::string missing = "error";
    bool json = false;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("check", "Look for what will go wrong with a training, before it");
  command->add_option("cfg", a->options.cfg, "the .cfg file")->required();
  command->add_option("data", a->options.data, "the .data file")->required();
  command
      ->add_option("--missing-labels", a->missing,
                   "what an image without a label file is: an error, or negative: it shows no object")
      ->check(CLI::IsMember({"error", "negative"}))
      ->capture_default_str();
  command->add_flag("--json", a->json, "one JSON object with all findings");
  add_device_options(*command, a->device);
  command->add_flag("--lenient", a->options.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] {
    a->options.device = a->device.device();
    a->options.negatives = a->missing == "negative";
    check(a->options, a->json);
  });
}

}  // namespace osprey
