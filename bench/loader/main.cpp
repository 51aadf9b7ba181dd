// bench_loader CFG FOLDER|LIST: how many images a second one core brings to a training, as the keys of the
// .cfg ask for. FOLDER has images, LIST names one a line. Prints one line of JSON; seconds are of the
// processor.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/image_list.h"
#include "data/loader.h"
#include "data/render.h"
#include "models/network.h"
#include "train/training_sets.h"

namespace osprey {
namespace {

constexpr int kRounds = 5;
constexpr size_t kHeld = 64;  // decoded images in memory, for what is measured without decoding

// Images a second: the median over rounds, of which each makes `count` of them.
template <class Round>
double rate(size_t count, Round&& round) {
  std::vector<double> rates;
  for (int i = 0; i < kRounds; ++i) {
    const std::clock_t start = std::clock();
    round(i);
    rates.push_back(double(count) * CLOCKS_PER_SEC / double(std::clock() - start));
  }
  std::sort(rates.begin(), rates.end());
  return rates[kRounds / 2];
}

Dataset unlabelled(const std::string& list) {
  DataFile data;
  data.train = list;
  ImageList images(data, Split::train);
  Dataset set;
  for (const std::string& entry : images.read()) {
    Sample sample;
    sample.image = images.find(entry);
    if (sample.image.empty()) fail("{}: {} is nowhere", list, entry);
    set.samples.push_back(sample);
  }
  return set;
}

double decoded_rate(const Dataset& set, int channels, JpegReader jpeg) {
  return rate(set.samples.size(), [&](int) {
    ByteImage image;  // one is always there, as in a loader: else its memory would go back each time
    for (const Sample& sample : set.samples) image = load_bytes(sample.image, channels, jpeg);
  });
}

// As many samples as images are held: with mosaic each second one is of four.
double augmented_rate(const Dataset& set, const LoaderOptions& o) {
  std::vector<ByteImage> held;
  for (size_t i = 0; i < std::min(kHeld, set.samples.size()); ++i)
    held.push_back(load_bytes(set.samples[i].image, o.channels, JpegReader::libjpeg));
  std::vector<float> pixels(size_t(o.width) * size_t(o.height) * size_t(o.channels));
  return rate(held.size(), [&](int round) {
    for (size_t n = 0; n < held.size(); ++n) {
      Random random(1, Purpose::augment, uint64_t(round), n);
      std::array<ByteImage, 4> images;
      std::array<Labelled, 4> labelled;
      const size_t parts = o.augment.mosaic && n % 2 ? 4 : 1;
      for (size_t k = 0; k < parts; ++k) {
        images[k] = held[(n + k) % held.size()];
        labelled[k] = {images[k].width, images[k].height};
      }
      const Described sample = parts == 4 ? describe_mosaic(labelled, o.augment, random)
                                          : describe(labelled[0], o.augment, random);
      render(sample.plan, images, o.width, o.height, pixels.data());
    }
  });
}

// Of the loader with one thread. `described`: as for a GPU, which makes the pixels itself.
double loaded_rate(const Dataset& set, LoaderOptions o, bool described) {
  o.described = described;
  Loader loader(set, o);
  const size_t steps = (set.samples.size() + size_t(o.batch) - 1) / size_t(o.batch);
  for (int i = 0; i <= o.prefetch; ++i) loader.next();  // what it makes ahead
  return rate(steps * size_t(o.batch), [&](int) {
    for (size_t i = 0; i < steps; ++i) loader.next();
  });
}

void run(const std::string& cfg, const std::string& list) {
  const std::vector<Section> sections = read_cfg(cfg);
  const Network network(sections, {});
  const NetSection& net = network.net();
  const Dataset set = unlabelled(list);
  double bytes = 0;
  for (const Sample& sample : set.samples) bytes += double(std::filesystem::file_size(sample.image));
  LoaderOptions o;
  o.batch = 8;
  o.width = net.width;
  o.height = net.height;
  o.channels = net.channels;
  o.threads = 1;
  o.strict = true;
  o.augment = augmentation(network, sections[0]);
  o.augment.width = net.width;
  o.augment.height = net.height;
  const nlohmann::ordered_json json = {
      {"images", set.samples.size()},
      {"mean_bytes", std::llround(bytes / double(set.samples.size()))},
      {"decoded_per_second", std::llround(decoded_rate(set, o.channels, JpegReader::libjpeg))},
      {"decoded_by_stb_image_per_second", std::llround(decoded_rate(set, o.channels, JpegReader::stb_image))},
      {"augmented_per_second", std::llround(augmented_rate(set, o))},
      {"samples_per_second", std::llround(loaded_rate(set, o, false))},
      {"described_samples_per_second", std::llround(loaded_rate(set, o, true))}};
  fmt::print("{}\n", json.dump());
}

}  // namespace
}  // namespace osprey

int main(int count, char** arguments) {
  try {
    if (count != 3) osprey::fail("usage: bench_loader CFG FOLDER|LIST");
    osprey::run(arguments[1], arguments[2]);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_loader: %s\n", e.what());
    return 1;
  }
}
