#include "apps/darknet/arguments.h"

#include <algorithm>
#include <optional>

#include "apps/processes.h"
#include "core/cfg.h"
#include "core/error.h"
#include "core/log.h"
#include "core/parallel.h"
#include "cuda/runtime.h"
#include "data/text_file.h"

namespace osprey::darknet {
namespace {

// All of pjreddie's and AlexeyAB's, then ours.
constexpr const char* kFlags[] = {
    "nogpu",      "clear",         "fullscreen",       "dont_show",       "map",
    "letter_box", "ext_output",    "save_labels",      "show_imgs",       "show",
    "benchmark",  "dontdraw_bbox", "benchmark_layers", "cuda_debug_sync", "strict",
    "topk"};
constexpr const char* kValues[] = {"i",
                                   "gpus",
                                   "thresh",
                                   "hier",
                                   "out",
                                   "prefix",
                                   "c",
                                   "s",
                                   "w",
                                   "h",
                                   "fps",
                                   "avg",
                                   "mAP_epochs",
                                   "points",
                                   "iou_thresh",
                                   "mjpeg_port",
                                   "json_port",
                                   "http_post_host",
                                   "time_limit_sec",
                                   "out_filename",
                                   "json_file_output",
                                   "avgframes",
                                   "chart",
                                   "num_of_clusters",
                                   "width",
                                   "height",
                                   "t",
                                   "device",
                                   "precision",
                                   "threads",
                                   "seed",
                                   "truth",
                                   "detections"};

struct Option {
  std::string name;
  bool takes_value = false;
};

// What an option changes in Darknet does not exist here, so that leaving it out is all there is to do.
constexpr const char* kSilent[] = {"dont_show", "cuda_debug_sync"};

template <size_t N>
bool contains(const char* const (&names)[N], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const char* name : kFlags) names.push_back(std::string("-") + name);
  for (const char* name : kValues) names.push_back(std::string("-") + name);
  return names;
}

std::optional<Option> find_option(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  if (contains(kFlags, name)) return Option{name, false};
  if (contains(kValues, name)) return Option{name, true};
  return std::nullopt;
}

// "-thresh" and "--thresh" as "thresh"; nothing for what is no option, such as a negative number.
std::optional<std::string> option_of(const std::string& word) {
  const size_t dashes = word.find_first_not_of('-');
  if (dashes == 0 || dashes > 2 || dashes == std::string::npos) return std::nullopt;
  if (std::isdigit(static_cast<unsigned char>(word[dashes])) || word[dashes] == '.') return std::nullopt;
  return word.substr(dashes);
}

}  // namespace

bool is_option(const std::string& word) {
  const auto name = option_of(word);
  return name && word[1] != '-' && find_option(*name).has_value();
}

Arguments::Arguments(std::string command, const std::vector<std::string>& words)
    : command_(std::move(command)) {
  for (size_t i = 0; i < words.size(); ++i) {
    auto name = option_of(words[i]);
    if (!name) {
      places_.push_back(words[i]);
      continue;
    }
    std::optional<std::string> value;
    if (const size_t equals = name->find('='); equals != std::string::npos) {
      value = name->substr(equals + 1);
      name->resize(equals);
    }
    const std::optional<Option> option = find_option(*name);
    if (!option)
      fail(fmt::format("unknown option {}{}", words[i], did_you_mean("-" + *name, option_names())));
    if (!option->takes_value && value) fail(fmt::format("-{} takes no value", option->name));
    if (option->takes_value && !value) {
      if (i + 1 == words.size()) fail(fmt::format("-{} needs a value behind it", option->name));
      value = words[++i];
    }
    if (!given_.emplace(option->name, value.value_or("")).second)
      warn("-{} is given twice; the first one counts", option->name);
  }
  const int count = integer("threads", 0, 1);
  if (count > 0) set_threads(count);
}

void Arguments::fail(const std::string& why) const { osprey::fail("{}: {}", command_, why); }

bool Arguments::flag(const char* option) {
  asked_.insert(option);
  return given(option);
}

std::string Arguments::text(const char* option, const std::string& otherwise) {
  asked_.insert(option);
  const auto found = given_.find(option);
  return found == given_.end() ? otherwise : found->second;
}

int Arguments::integer(const char* option, int otherwise, int least) {
  const std::string value = text(option);
  if (!given(option)) return otherwise;
  int number = 0;
  if (!parse_number(value, number) || number < least)
    fail(fmt::format("-{} needs a whole number of at least {}, not `{}`", option, least, value));
  return number;
}

float Arguments::real(const char* option, float otherwise, float least, float most) {
  const std::string value = text(option);
  if (!given(option)) return otherwise;
  float number = 0;
  if (!parse_number(value, number) || number < least || number > most)
    fail(fmt::format("-{} needs a number from {:g} to {:g}, not `{}`", option, least, most, value));
  return number;
}

std::vector<std::string> Arguments::places(const std::vector<std::string>& names, size_t required) const {
  if (places_.size() < required)
    fail(fmt::format("{} is missing: expected {}", names[places_.size()], fmt::join(names, " ")));
  if (places_.size() > names.size())
    fail(fmt::format("`{}` is too much: expected {}", places_[names.size()], fmt::join(names, " ")));
  std::vector<std::string> all = places_;
  all.resize(names.size());
  return all;
}

const std::vector<std::string>& Arguments::all_places(const std::string& usage, size_t required) const {
  if (places_.size() < required) fail(fmt::format("expected {}", usage));
  return places_;
}

void Arguments::finish() const {
  for (const auto& [name, value] : given_)
    if (!asked_.count(name) && !contains(kSilent, name)) warn("-{} has no effect on {}", name, command_);
}

DeviceOptions device_options(Arguments& a, int* processes) {
  DeviceOptions options;
  std::string gpus = a.text("gpus", a.text("i"));
  options.name = a.text("device");
  options.precision_name = a.text("precision");
  if (!options.name.empty() && options.name != "cpu" && options.name != "cuda" && options.name != "emulated")
    a.fail(fmt::format("--device is cpu, cuda or emulated, not `{}`", options.name));
  if (a.flag("nogpu") || gpus.starts_with('-')) {
    options.name = "cpu";
    return options;
  }
  int count = 1;
  if (!gpus.empty()) {
    if (!cuda::has_gpu_kernels() && !cuda::emulated())
      warn("-i {}: this build has no kernels for a GPU: the CPU does the work", gpus);
    const size_t comma = gpus.find(',');
    if (comma != std::string::npos && !processes) {
      warn("-gpus {}: the first of them does all the work", gpus);
      gpus.resize(comma);
    }
    count = take_gpus(gpus);
  }
  if (options.name.empty())
    options.name = cuda::has_gpu_kernels() && cuda::device_count() > 0 ? "cuda" : "cpu";
  if (processes) *processes = options.name == "cpu" ? 1 : count;
  return options;
}

Split split_to_measure(const std::string& data) {
  return read_data_file(data, true).has(Split::valid) ? Split::valid : Split::train;
}

LoadOptions load_options(Arguments& a, const std::string& cfg, const std::string& weights) {
  LoadOptions options;
  options.cfg = cfg;
  options.weights = weights;
  options.device = device_options(a);
  options.lenient = true;
  if (weights.empty()) warn("no weights are given: the network has random ones");
  return options;
}

}  // namespace osprey::darknet
