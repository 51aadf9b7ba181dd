// detector recall: how many objects the boxes of a network find, whatever class it gives them.
#include <fmt/core.h>

#include "apps/darknet/commands.h"
#include "apps/evaluation.h"
#include "core/error.h"
#include "layers/nms/nms.h"

namespace osprey::darknet {
namespace {

struct Counts {
  int64_t images = 0, boxes = 0, truths = 0, found = 0;
  double overlap = 0;  // summed over truths: with the box that fits best

  void print() const {
    const auto share = [](double part, int64_t of) { return of ? part / double(of) : 0; };
    fmt::print("{:5} {:5} {:5}\tRPs/Img: {:.2f}\tIOU: {:.2f}%\tRecall:{:.2f}%\n", images - 1, found, truths,
               share(double(boxes), images), 100 * share(overlap, truths),
               100 * share(double(found), truths));
  }
};

// How sure a box is of there being an object. Where a head tells that of no box (it is 1 for all), the class
// that is most likely says it.
std::vector<float> box_scores(const Candidates& all) {
  const bool told = std::any_of(all.objectness.begin(), all.objectness.end(), [](float o) { return o != 1; });
  if (told) return all.objectness;
  std::vector<float> scores;
  for (int i = 0; i < all.count(); ++i)
    scores.push_back(*std::max_element(all.of(i), all.of(i) + all.classes));
  return scores;
}

// Darknet's fixed thresholds: boxes suppress each other at an IoU of 0.4, and find an object at 0.5.
void count(Counts& counts, const Candidates& all, const ImagePlace& place, const Sample& sample) {
  std::vector<Box> boxes;
  for (const CentreBox& box : all.boxes) boxes.push_back(corners(in_image(box, place.placement)));
  const std::vector<int> kept = nms(boxes, box_scores(all), 0.4f);
  ++counts.images;
  counts.boxes += int64_t(kept.size());
  for (const Label& label : sample.labels) {
    float best = 0;
    for (const int i : kept) best = std::max(best, iou(boxes[size_t(i)], corners(label.box)));
    ++counts.truths;
    counts.overlap += double(best);
    counts.found += best > 0.5f;
  }
}

}  // namespace

void recall(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS"}, 2);
  const LoadOptions load = load_options(a, at[1], at[2]);
  const float threshold = a.real("thresh", 0.001f);
  const bool letterbox = a.flag("letter_box");
  a.finish();
  const auto subject = load_subject(load, at[0], split_to_measure(at[0]), false);
  const auto& network = subject.network;
  if (network->heads().empty()) fail("{}: no layer that detects ([yolo], [region], ...)", load.cfg);
  ImageFeed feed(*network, letterbox ? Fit::letterbox : Fit::stretch);
  Counts counts;
  const auto find = [&](const std::vector<const ByteImage*>& images,
                        const std::vector<const Sample*>& samples) {
    feed.give(images, proposals_for(*network, samples));
    network->forward();
    std::vector<std::vector<float>> memory;
    std::vector<HeadOutput> heads;
    for (size_t i = 0; i < network->nodes().size(); ++i)
      if (const Head* head = network->nodes()[i].layer->head()) {
        memory.push_back(network->read(int(i)));
        heads.push_back({head, {memory.back().data(), network->output(int(i))}});
      }
    for (size_t i = 0; i < images.size(); ++i) {
      if (!samples[i]) continue;
      count(counts, candidates(heads, int(i), threshold), feed.place(*images[i]), *samples[i]);
      counts.print();
    }
    return std::vector<std::vector<DetectedBox>>(images.size());
  };
  const Evaluated done = evaluate_images(*network, subject.dataset, find);
  if (done.broken_images) fail("{} images could not be read: nothing was found in them", done.broken_images);
}

}  // namespace osprey::darknet
