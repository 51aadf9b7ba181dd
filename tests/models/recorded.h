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

// The values of one image in Darknet's order, channels first.
std::vector<float> chw(View<const float> y, int image = 0);

// A network that never trains with these weights, for single images of its own size.
std::unique_ptr<Network> recorded_network(const std::string& cfg, const std::string& weights, bool keep_all,
                                          float batchnorm_epsilon = 1e-5f);

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
