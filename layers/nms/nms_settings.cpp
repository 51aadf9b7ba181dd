#include "layers/nms/nms_settings.h"

#include "cuda/top_k.h"

namespace osprey {

void nms_keys(Keys& k, NmsSettings& settings) {
  k.choice("nms", settings.kind, settings.kind, kNmsNames)
      .help(
          "how duplicates are found: by IoU, IoU less a power of the centres' distance, DIoU, or NWD; the "
          "soft "
          "kinds lower the scores of boxes that overlap a better one");
  float threshold = settings.threshold;
  k.real("nms_threshold", threshold, settings.threshold_or_usual());
  if (settings.threshold < 0) k.shown_as("0.85 for nwd, 0.3 for soft_linear, else 0.45");
  k.between(0, 1).help("of two boxes with more overlap the surer stays; 0: all stay");
  if (k.given("nms_threshold")) settings.threshold = threshold;
  k.real("beta_nms", settings.beta, settings.beta)
      .more_than(0)
      .help("that power, for diounms; greedynms always takes 0.6");
  k.real("nms_sigma", settings.sigma, settings.sigma)
      .more_than(0)
      .help("soft_gaussian: a score becomes score * e^(-IoU^2 / sigma)");
  k.real("nms_constant", settings.constant, settings.constant)
      .more_than(0)
      .help("nwd: about the size of the objects in pixels of the network input");
  k.real("nms_min_score", settings.min_score, settings.min_score)
      .more_than(0)
      .help("soft kinds: boxes whose score falls below this are dropped");
  k.flag("nms_classes", settings.classes_apart, settings.classes_apart)
      .help("1: only boxes of one class suppress each other; 0: all do, and a box has its best class only");
  k.integer("max_detections", settings.max_detections, settings.max_detections)
      .at_least(0)
      .help("of an image, the best ones; 0: all. The last head decides, as for all keys of suppression");
}

void top_k_key(Keys& k, NmsSettings& settings) {
  k.integer("nms_top_k", settings.top_k, settings.top_k)
      .between(0, kMostChosen)
      .help(
          settings.top_k_of_class
              ? "only so many boxes of each class, those with the best scores, come to suppression; 0: all"
              : "only so many boxes of each level, those with the best scores, come to suppression; 0: all");
}

}  // namespace osprey
