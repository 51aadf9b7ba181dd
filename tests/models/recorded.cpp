#include "tests/models/recorded.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>

#include "core/file.h"
#include "models/weights.h"

namespace osprey {

std::string shared(const std::string& path) {
  const char* folder = std::getenv("OSPREY_SHARED");
  return std::string(folder ? folder : OSPREY_SOURCE_DIR "/../shared") + "/" + path;
}

nlohmann::json read_json(const std::string& path) {
  // Python writes NaN, which JSON does not have.
  const std::string text =
      std::regex_replace(read_file(path, "recorded JSON"), std::regex("\\bNaN\\b"), "null");
  return nlohmann::json::parse(text);
}

std::string test_name(std::string name, Device device) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return device == Device::cpu ? name : name + "_emulated";
}

std::vector<float> in_recorded_order(const Network& network, int layer) {
  const Node& node = network.nodes()[size_t(layer)];
  const std::vector<float> y = network.read(layer);
  Shape s = node.output;
  s.n = 1;
  const View<const float> image(y.data(), s);
  if (std::string(node.type->name) == "region") return {image.begin(), image.end()};
  std::vector<float> values;
  values.reserve(size_t(s.size()));
  for (int c = 0; c < s.c; ++c)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w) values.push_back(image(0, h, w, c));
  return values;
}

std::unique_ptr<Network> recorded_network(const std::string& cfg, const std::string& weights, bool keep_all,
                                          float batchnorm_epsilon, Device device,
                                          ConvolutionAlgorithm convolution) {
  NetworkOptions options;
  options.build.training = false;
  options.build.batchnorm_epsilon = batchnorm_epsilon;
  options.build.device = device;
  options.build.convolution = convolution;
  options.keep_all = keep_all;
  auto network = std::make_unique<Network>(read_cfg(cfg), options);
  network->plan(1, network->net().width, network->net().height);
  load_weights(weights, *network, Coverage::whole);
  network->prepare();
  return network;
}

void forward_chw(Network& network, const std::vector<float>& values) {
  const View<float> input = network.input();
  ASSERT_EQ(values.size(), size_t(input.size()));
  const Shape s = input.shape;
  for (int i = 0; i < input.size(); ++i) {
    const auto [n, h, w, c] = s.pixel(i);
    input[i] = values[size_t((c * s.h + h) * s.w + w)];
  }
  network.forward();
}

double largest_difference(const std::vector<float>& got, const std::vector<float>& want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    EXPECT_FALSE(std::isnan(got[i])) << "at " << i;
    if (std::isnan(want[i])) continue;
    worst = std::max(worst, std::fabs(double(got[i]) - double(want[i])));
  }
  return worst;
}

double largest_value(const std::vector<float>& values) {
  double largest = 0;
  for (float v : values)
    if (std::isfinite(v)) largest = std::max(largest, double(std::fabs(v)));
  return largest;
}

std::string first_disagreement(const Network& network, const nlohmann::json& recorded, double tolerance) {
  const nlohmann::json& digests = recorded.is_object() ? recorded.at("layers") : recorded;
  if (digests.size() != network.nodes().size())
    return fmt::format("{} layers were recorded, the network has {}", digests.size(), network.nodes().size());
  for (const nlohmann::json& digest : digests) {
    const int i = digest.at("layer");
    const std::vector<float> y = in_recorded_order(network, i);
    if (y.size() != digest.at("n").get<size_t>())
      return fmt::format("{}: {} values, {} were recorded", network.where(i), y.size(),
                         digest.at("n").get<size_t>());
    double sum = 0;
    for (float v : y) sum += std::fabs(v);
    const auto [low, high] = std::minmax_element(y.begin(), y.end());
    double largest = 1e-6;
    for (const nlohmann::json& v : digest.at("sample"))
      if (!v.is_null()) largest = std::max(largest, std::fabs(v.get<double>()));
    for (const char* key : {"min", "max"})
      if (!digest.at(key).is_null()) largest = std::max(largest, std::fabs(digest.at(key).get<double>()));
    auto differs = [&](const std::string& what, double got, const nlohmann::json& want) {
      const bool same = want.is_null()
                            ? std::isfinite(got)
                            : std::fabs(got - want.get<double>()) <= tolerance * largest;  // not so for a NaN
      return same ? std::string()
                  : fmt::format("{}: {} is {}, recorded {} (limit {:.2g})", network.where(i), what, got,
                                want.dump(), tolerance * largest);
    };
    std::vector<std::string> faults = {
        differs("min", *low, digest.at("min")), differs("max", *high, digest.at("max")),
        differs("mean magnitude", sum / double(y.size()), digest.at("absmean"))};
    for (size_t k = 0; k < digest.at("sample").size(); ++k) {
      const size_t at = digest.at("sample_index")[k];
      faults.push_back(differs(fmt::format("value {}", at), y.at(at), digest.at("sample")[k]));
    }
    for (const std::string& fault : faults)
      if (!fault.empty()) return fault;
  }
  return {};
}

}  // namespace osprey
