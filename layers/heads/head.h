// A layer that detects: it turns its output into candidate boxes.
#pragma once

#include <vector>

#include "core/box.h"
#include "cuda/detections.h"
#include "cuda/head.h"
#include "layers/layer.h"
#include "layers/nms/nms_settings.h"

namespace osprey {

// Boxes before non-maximum suppression, in the order in which the head lists them. Every candidate has a
// probability for each class; those at or below the threshold are 0.
struct Candidates {
  int classes = 0;
  std::vector<CentreBox> boxes;  // in units of the network input, 0..1
  std::vector<float> objectness;
  std::vector<float> probabilities;  // [candidates, classes]

  int count() const { return int(boxes.size()); }
  float* of(int candidate) { return probabilities.data() + size_t(candidate) * classes; }
  const float* of(int candidate) const { return probabilities.data() + size_t(candidate) * classes; }
};

// What is listed: scores are above `score`; of a tree of classes the most special one that is likelier than
// `tree`.
struct Thresholds {
  float score, tree = 0.5f;
  Thresholds(float score, float tree = 0.5f) : score(score), tree(tree) {}
};

class Head : public Layer {
 public:
  Head* head() override { return this; }
  virtual int classes() const = 0;
  virtual int label_classes() const { return classes(); }  // of labels: other ones where a map renumbers them
  // Appends the candidates of one image of the mini-batch whose score is above the threshold. `output` is
  // what forward has made, readable by the host: y itself on the CPU, else a copy of it.
  virtual void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const = 0;
  // The same on Device::cuda for all images, from y to the candidates of `lists`. Thresholds: at least 0.
  virtual void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const = 0;
  // How many candidates of an image list() may name, and how many of them can be of one class. Heads that cut
  // their lists to the best have candidates of one class each.
  struct Listed {
    int64_t candidates = 0, of_class = 0;
    bool best = false;
  };
  virtual Listed most_listed() const {
    const int64_t rows = y.shape.elements() / y.shape.n / (kClasses + classes());
    return {rows, rows, false};
  }
  // How duplicates are found; of several heads the last one's counts, but for top_k, which each obeys itself.
  virtual NmsSettings nms() const { return {}; }
  // Of Darknet's heads: the negative of the gradient that the loss sends into the head's input, as Darknet
  // calls its delta; [N,H,W,C], valid after a forward pass in training.
  virtual View<const float> delta() const { return {}; }
  // Widths and heights of the typical boxes that this head's are predicted from, in pixels of the network
  // input; only Darknet's heads list them. Valid once planned.
  virtual std::vector<Anchor> anchor_shapes() const { return {}; }
  // Settings of the last head that rule the whole training (Darknet's semantics).
  struct Augmentation {
    float jitter = 0.2f, resize = 1, random = 0;
    int max_boxes = 200;
  };
  virtual Augmentation augmentation() const = 0;
};

// The keys of Darknet's heads that rule the training. crop_keys: of those that are for one size only.
void augmentation_keys(Keys& k, Head::Augmentation& augmentation);
void crop_keys(Keys& k, Head::Augmentation& augmentation);
// For heads with anchors: `num` pairs of those that the section lists, or 0.5 each if it lists none. More are
// not read, as in Darknet.
std::vector<Anchor> read_anchors(const Plan&, const std::vector<float>& listed, int num);
// What the file of the section's `map` says: for each class of the labels one of the `classes` of the head.
// Nothing for no path; read once.
void plan_class_map(const Plan&, const std::string& path, int classes, std::vector<int>& map);
// Asks for what the loss of a head of the planned input works with; a truth is taught to `slots` rows at
// most.
void plan_loss_work(Plan&, LossWork&, int truths, int slots);

}  // namespace osprey
