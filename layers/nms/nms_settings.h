// How a head wants duplicates found, and how many detections it makes: what the keys of its section say of
// non-maximum suppression.
#pragma once

#include "core/cfg.h"
#include "cuda/nms.h"

namespace osprey {

// The words of the cfg and of the command line, in the order of NmsKind.
inline constexpr const char* kNmsNames[] = {"hard", "greedynms",   "diounms",      "diou",
                                            "nwd",  "soft_linear", "soft_gaussian"};

struct NmsSettings {
  NmsKind kind = NmsKind::standard;
  float threshold = -1;      // 0: no suppression; below 0: the usual one of the kind
  float beta = 0.6f;         // of diou_power
  float sigma = 0.5f;        // of soft_gaussian
  float constant = 12.8f;    // of nwd: its C, pixels of the network input
  float min_score = 0.001f;  // of the soft kinds: less is not kept
  bool classes_apart =
      true;                // only boxes of one class suppress each other; else a box has its best class only
  int max_detections = 0;  // of an image, the best ones; 0: all

  // Before suppression, of heads that can have very many boxes: only so many pairs of a box and a class whose
  // scores are best, 0 for all; of each level of the head, or of each class.
  int top_k = 0;
  bool top_k_of_class = false;

  // Darknet's 0.45 for what IoU measures; what the authors of NWD and of soft-NMS use.
  float threshold_or_usual() const {
    if (threshold >= 0) return threshold;
    return kind == NmsKind::nwd ? 0.85f : kind == NmsKind::soft_linear ? 0.3f : 0.45f;
  }
  bool suppresses() const { return threshold_or_usual() > 0; }
  // For boxes in units of a network input of this size.
  NmsRule rule(int network_width, int network_height) const {
    return {threshold_or_usual(), kind, beta, constant, float(network_width), float(network_height)};
  }
  SoftNmsRule soft_rule() const {
    return {kind == NmsKind::soft_linear ? SoftNmsKind::linear : SoftNmsKind::gaussian, threshold_or_usual(),
            false, sigma, min_score};
  }
};

// Declares the keys; what `settings` holds are the defaults.
void nms_keys(Keys& k, NmsSettings& settings);
// nms_top_k, for heads that obey it.
void top_k_key(Keys& k, NmsSettings& settings);

}  // namespace osprey
