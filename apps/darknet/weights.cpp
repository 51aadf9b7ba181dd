// The commands that read files of weights and write another: partial, average, rescale, rgbgr, reset,
// denormalize, oneoff; and statistics.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "apps/darknet/commands.h"
#include "data/text_file.h"
#include "models/edit_weights.h"
#include "models/weights.h"

namespace osprey::darknet {
namespace {

std::unique_ptr<Network> network_of(const std::vector<Section>& sections) {
  NetworkOptions options;
  options.build.training = false;
  options.lenient = true;
  auto network = std::make_unique<Network>(sections, options);
  network->plan(1, network->net().width, network->net().height);
  return network;
}

// CFG IN OUT: reads a whole network, changes it, and writes it.
template <class Change>
void edit(Arguments& a, Change&& change) {
  const auto at = a.places({"CFG", "WEIGHTS", "OUT"}, 3);
  a.finish();
  const auto network = network_of(read_cfg(at[0]));
  const LoadedWeights loaded = load_weights(at[1], *network, Coverage::whole);
  change(*network);
  save_weights(at[2], *network, loaded.header);
  fmt::print("{}\n", at[2]);
}

}  // namespace

void partial(Arguments& a) {
  const auto at = a.places({"CFG", "WEIGHTS", "OUT", "LAYERS"}, 4);
  a.finish();
  const auto network = network_of(read_cfg(at[0]));
  const int layers = int(network->nodes().size());
  int count = 0;
  if (!parse_number(at[3], count) || count < 1 || count > layers)
    a.fail(fmt::format("LAYERS is a number from 1 to {}, the layers of {}, not `{}`", layers, at[0], at[3]));
  const LoadedWeights loaded = load_weights(at[1], *network, Coverage::backbone);
  if (loaded.layers < count)
    a.fail(fmt::format("{} holds only the first {} layers, not {}", at[1], loaded.layers, count));
  save_weights(at[2], *network, {}, count);
  fmt::print("{}: the layers 0 to {} of {}\n", at[2], count - 1, layers);
}

void average(Arguments& a) {
  const std::vector<std::string>& at = a.all_places("CFG OUT WEIGHTS WEIGHTS ...", 3);
  a.finish();
  const auto network = network_of(read_cfg(at[0]));
  average_weights(*network, {at.begin() + 2, at.end()});
  save_weights(at[1], *network, {});
  fmt::print("{}: the mean of {} files\n", at[1], at.size() - 2);
}

void rescale(Arguments& a) {
  edit(a, [](Network& network) { rescale_input(network, 2, -1); });
}

void rgbgr(Arguments& a) { edit(a, swap_red_and_blue); }

void reset(Arguments& a) { edit(a, fold_batch_norm); }

void denormalize(Arguments& a) {
  const auto at = a.places({"CFG", "WEIGHTS", "OUT"}, 3);
  a.finish();
  const std::vector<Section> sections = read_cfg(at[0]);
  const auto network = network_of(sections), plain = network_of(without_batch_norm(sections));
  const LoadedWeights loaded = load_weights(at[1], *network, Coverage::whole);
  fold_batch_norm(*network);
  copy_parameters(*network, *plain);
  save_weights(at[2], *plain, loaded.header);
  fmt::print("{}: for {} without its lines batch_normalize=1\n", at[2], at[0]);
}

// Darknet's begins with random values, too, for what the classifier does not have.
void oneoff(Arguments& a) {
  const auto at = a.places({"CFG", "WEIGHTS", "OUT"}, 3);
  const int seed = a.integer("seed", 0, 0);
  a.finish();
  std::vector<Section> sections = read_cfg(at[0]);
  const auto detector = network_of(sections);
  const std::vector<Head*> heads = detector->heads();
  const int classes = heads.empty() ? 0 : heads.back()->classes(), last = int(sections.size()) - 2;
  const bool ends = heads.size() == 1 && detector->nodes().back().layer->head() && last > 0 &&
                    sections[size_t(last)].name.starts_with("conv") &&
                    !sections[size_t(last)].find("batch_normalize") && !sections[size_t(last)].find("cbn");
  if (!ends)
    a.fail(
        fmt::format("{} must end with a [convolutional] without batch norm and one head behind it", at[0]));
  sections.pop_back();
  const int filters = detector->nodes()[size_t(last - 1)].layer->y.shape.c;
  std::erase_if(sections.back().entries, [](const Entry& e) { return e.key == "filters"; });
  sections.back().entries.push_back({"filters", std::to_string(classes), sections.back().line});
  const auto classifier = network_of(sections);
  load_weights(at[1], *classifier, Coverage::whole);
  detector->parameters().initialise(uint64_t(seed));
  graft_classes(*classifier, *detector);
  save_weights(at[2], *detector, {});
  fmt::print("{}\n{}\n", filters, at[2]);
}

void statistics(Arguments& a) {
  const auto at = a.places({"CFG", "WEIGHTS"}, 2);
  a.finish();
  const auto network = network_of(read_cfg(at[0]));
  load_weights(at[1], *network, Coverage::whole);
  fmt::print("{:<22} {:>10} {:>12} {:>12} {:>12} {:>12}\n", "parameters", "count", "mean", "deviation",
             "least", "largest");
  for (const ParameterSpan& span : network->parameters().spans()) {
    const View<float> values = network->parameters().value(span);
    double sum = 0, squares = 0;
    for (const float v : values) sum += double(v), squares += double(v) * double(v);
    const double n = double(values.size()), mean = sum / n;
    const auto [least, largest] = std::minmax_element(values.begin(), values.end());
    fmt::print("{:<22} {:>10} {:>12.6g} {:>12.6g} {:>12.6g} {:>12.6g}\n", span.name, values.size(), mean,
               std::sqrt(std::max(squares / n - mean * mean, 0.0)), *least, *largest);
  }
}

}  // namespace osprey::darknet
