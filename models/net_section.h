// The [net] section: the size of the input and how the network is trained.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/cfg.h"
#include "core/normalisation.h"

namespace osprey {

// Of activations and of the weights' copy; tf32: fp32, but convolutions may round their factors to 10 bits.
enum class Precision { fp32, tf32, bf16 };
inline constexpr const char* kPrecisionNames[] = {"fp32", "tf32", "bf16"};

// How the rate rises in the iterations of burn_in: Darknet's power of their share, a straight line from a
// part of the base rate, or that part alone.
enum class WarmUp { power, linear, constant };
inline constexpr const char* kWarmUpNames[] = {"power", "linear", "constant"};

enum class Policy { constant, step, steps, exp, poly, sigmoid, random, sgdr };

// How parameters follow their gradients: cuda/optimizer.h has the formulas.
enum class Rule { sgd, adam, adamw, rmsprop };
inline constexpr const char* kRuleNames[] = {"sgd", "adam", "adamw", "rmsprop"};
inline bool keeps_squares(Rule rule) { return rule != Rule::sgd; }  // a mean of squared gradients

// A key with which a network detects, but cannot be trained.
struct TrainingFault {
  std::string key, why;
};

struct NetSection {
  int batch = 1, subdivisions = 1;  // images per weight update, and in how many mini-batches
  int width = 0, height = 0, channels = 3;

  std::vector<float> mean, deviation;  // of each channel, if given,
  Normalisation normalisation;         // which makes this
  Precision precision = Precision::fp32;

  float learning_rate = 0.001f, momentum = 0.9f, decay = 0.0001f;
  int64_t max_batches = 0, burn_in = 0;
  WarmUp warmup = WarmUp::power;
  float warmup_start = 0.001f;
  Policy policy = Policy::constant;
  float power = 4, gamma = 1, scale = 1;
  int64_t step = 1;
  std::vector<int> steps;
  std::vector<float> scales;
  int64_t sgdr_cycle = 0;
  int sgdr_mult = 2;
  float learning_rate_min = 1e-5f;
  float clip_norm = 0;  // of the gradients of a batch, at most; 0: any
  Rule optimizer = Rule::sgd;
  bool nesterov = false;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-6f, alpha = 0.99f;
  float ema_alpha = 0;  // of the moving average of the parameters; 0: none is kept

  float saturation = 1, exposure = 1, hue = 0;
  bool flip = true, letter_box = false, mosaic = false, mosaic_bound = false;
  bool mixup = false, cutmix = false;
  float angle = 0, aspect = 1, label_smooth_eps = 0;
  int min_crop = 0, max_crop = 0, blur = 0;
  float gaussian_noise = 0, repeat_threshold = 0, repeat_power = 0.5f;
  int resize_step = 32;
  std::vector<TrainingFault> training_faults;

  int mini_batch() const { return std::max(batch / subdivisions, 1); }
};

void net_keys(Keys& k, NetSection& net);                      // describes and reads the keys
NetSection read_net_section(Section& section, bool lenient);  // with all checks

}  // namespace osprey
