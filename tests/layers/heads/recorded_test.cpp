// Darknet's heads against recorded cases: cases/trace_* have heads' inputs in the first iteration of
// small networks and the deltas that Darknet itself handed on; the others are made by reference_heads.py, a
// NumPy model that was found equal to those of Darknet, for every option of the losses.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

struct Recorded {
  nlohmann::json json;
  std::string cfg() const { return json["cfg"]; }
  Shape shape() const { return {json["shape"][0], json["shape"][1], json["shape"][2], json["shape"][3]}; }
  Values values(const char* name) const { return json[name].get<Values>(); }

  // In one place for good: the layer keeps the address of its step.
  std::unique_ptr<SingleLayer> layer(Device device) const {
    auto made = std::make_unique<SingleLayer>(cfg(), std::vector<Shape>{shape()}, device, true,
                                              Shape{shape().n, json["network"][1], json["network"][0], 3});
    SingleLayer& layer = *made;
    layer.step.seen = json["seen"];
    for (int n = 0; n < shape().n; ++n) {
      layer.truth_counts[n] = int(json["truths"][n].size());
      for (int t = 0; t < layer.truth_counts[n]; ++t)
        for (int e = 0; e < 5; ++e)
          layer.truths[(size_t(n) * layer.truth_capacity() + t) * 5 + e] = json["truths"][n][t][e];
    }
    return made;
  }
};

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(OSPREY_SOURCE_DIR "/tests/layers/heads/cases"))
    found.push_back(entry.path().stem());
  std::sort(found.begin(), found.end());
  return found;
}

class RecordedHead : public testing::TestWithParam<std::tuple<std::string, Device>> {
 protected:
  void SetUp() override {
    std::ifstream in(OSPREY_SOURCE_DIR "/tests/layers/heads/cases/" + std::get<0>(GetParam()) + ".json");
    recorded_.json = nlohmann::json::parse(in);
  }
  std::unique_ptr<SingleLayer> layer() const { return recorded_.layer(std::get<1>(GetParam())); }
  Recorded recorded_;
};

// The references were computed in double (or by Darknet, whose inputs were), from values of up to 3, ours in
// float: 5e-6 is 40 units in the last place of 1, room for e^w and quotients of areas. Largest seen: 3e-6.
constexpr Tolerance kFloat = {5e-6f, 5e-6f};

TEST_P(RecordedHead, OutputDeltaAndReportAreEqual) {
  SCOPED_TRACE(recorded_.cfg());
  const auto made = layer();
  SingleLayer& layer = *made;
  expect_equal(layer.forward(recorded_.values("x")), recorded_.values("y"), kFloat);

  const LossReport report = layer.report;
  const double loss = recorded_.json["loss"], overlap = recorded_.json["iou"];
  EXPECT_NEAR(report.loss, loss,
              2e-6 * loss);  // a sum of squares: twice the slopes' relative error, averaged
  EXPECT_NEAR(report.iou, overlap, 1e-5);
  EXPECT_EQ(report.matched, int(recorded_.json["matched"]));
  EXPECT_DOUBLE_EQ(report.loss, report.box_loss + report.class_loss + report.objectness_loss);

  Values negative = recorded_.values("delta");
  for (float& d : negative) d = -d;
  expect_equal(layer.backward_overwriting(Values(negative.size(), 0))[0], negative, kFloat);
  for (float& d : negative) d += 3;
  const Values start(negative.size(), 3);
  expect_equal(layer.backward(Values(negative.size(), 0), {start})[0], negative, kFloat);
}

TEST_P(RecordedHead, TwiceIsTheSameBits) {
  const auto made = layer();
  SingleLayer& layer = *made;
  layer.forward(recorded_.values("x"));
  const Values none(size_t(recorded_.shape().elements()), 0), first = layer.backward_overwriting(none)[0];
  const double loss = layer.report.loss;
  layer.forward(recorded_.values("x"));
  expect_equal(layer.backward_overwriting(none)[0], first);
  EXPECT_EQ(layer.report.loss, loss);
}

INSTANTIATE_TEST_SUITE_P(cases, RecordedHead,
                         testing::Combine(testing::ValuesIn(names()),
                                          testing::Values(Device::cpu, Device::cuda)),
                         [](const auto& info) {
                           return std::get<0>(info.param) +
                                  (std::get<1>(info.param) == Device::cpu ? "_cpu" : "_kernels");
                         });

}  // namespace
}  // namespace osprey
