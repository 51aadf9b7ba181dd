// What other engines computed, as it lies in $OSPREY_SHARED, and how a network of ours is held against it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/network.h"

namespace osprey {

std::string shared(const std::string& path);  // $OSPREY_SHARED, or ../shared beside this checkout
nlohmann::json read_json(const std::string& path);

// The output of a layer for its first image, in the order of the engine that recorded it: AlexeyAB's [region]
// is HW x anchors x (5 + C), which is ours; all else is channels first.
std::vector<float> in_recorded_order(const Network& network, int layer);

// A network that never trains with these weights, for single images of its own size.
std::unique_ptr<Network> recorded_network(const std::string& cfg, const std::string& weights, bool keep_all,
                                          float batchnorm_epsilon = 1e-5f, Device device = Device::cpu,
                                          ConvolutionAlgorithm = ConvolutionAlgorithm::automatic);

// For names of tests: "yolo_fastest_1_0" or, on the emulated GPU, "yolo_fastest_1_0_emulated".
std::string test_name(std::string name, Device device);

// Sets the input to [C,H,W] or [1,C,H,W] values and runs.
void forward_chw(Network& network, const std::vector<float>& values);

// The largest |got - want|; a test failure if they differ in number, or if `got` holds a NaN. Where Darknet
// has recorded one (in the heads of yolov4, whose inputs reach 600) there is nothing to compare with.
double largest_difference(const std::vector<float>& got, const std::vector<float>& want);
double largest_value(const std::vector<float>& values);  // of the magnitudes

// Holds every layer against digests of an engine (sixteen samples, min, max and mean of the magnitudes),
// within `tolerance` of the largest value of the layer, and names the first that disagrees. Empty: all agree.
// Needs keep_all.
std::string first_disagreement(const Network& network, const nlohmann::json& recorded, double tolerance);

}  // namespace osprey
