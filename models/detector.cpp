#include "models/detector.h"

#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "cuda/runtime.h"

namespace osprey {
namespace {

constexpr int kMostDetections = 8192;  // of an image

// Hands out parts of one block of memory, one after the other; without the block it only adds them up.
class Parts {
 public:
  explicit Parts(char* memory) : memory_(memory) {}
  template <class T>
  void take(View<T>& view, Shape shape) {
    view = {memory_ ? reinterpret_cast<T*>(memory_ + bytes_) : nullptr, shape};
    bytes_ += (size_t(shape.elements()) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kAlignment = 64;
  char* memory_;
  size_t bytes_ = 0;
};

}  // namespace

Detector::Detector(Network& network, DetectorSettings settings)
    : network_(network), settings_(settings), batch_(network.input().shape.n) {
  const std::vector<Head*> heads = network.heads();
  if (heads.empty())
    fail("the network has no head that detects: expected a section such as [yolo] or [rcnn]");
  classes_ = heads[0]->classes();
  for (const Head* head : heads)
    if (head->classes() != classes_)
      fail("the heads of the network have {} and {} classes: their boxes cannot be listed together", classes_,
           head->classes());
  nms_ = nms_settings(*heads.back(), settings);
  places_.allocate(network.stream(), size_t(batch_) * sizeof(ImagePlace));
  std::fill_n(places().data, batch_, ImagePlace{});
  if (network.device() != Device::cpu) plan_lists();
}

void Detector::plan_lists() {
  Head::Listed all;
  for (const Head* head : network_.heads()) {
    const Head::Listed own = head->most_listed();
    all = {all.candidates + own.candidates, all.of_class + own.of_class, all.best || own.best};
  }
  const int capacity =
      int(std::min<int64_t>(all.candidates, all.best ? kMostBestCandidates : kMostCandidates));
  lists_.most_of_class = int(std::min<int64_t>(all.of_class, capacity));
  const int most = int(std::min<int64_t>(int64_t(capacity) * classes_, kMostDetections));
  lists_.places = {reinterpret_cast<const ImagePlace*>(places_.device()), {batch_, 1, 1, 1}};
  counts_.allocate(network_.stream(), 2 * size_t(batch_) * sizeof(int));
  lists_.counts = {reinterpret_cast<int*>(counts_.device()), {batch_, 1, 1, 1}};
  lists_.found_counts = {lists_.counts.data + batch_, {batch_, 1, 1, 1}};
  const auto lay_out = [&](char* memory) {
    Parts parts(memory);
    parts.take(lists_.candidates, {batch_, 1, 1, capacity});
    parts.take(lists_.kept, {batch_, 1, classes_, (capacity + 31) / 32});
    parts.take(lists_.found, {batch_, 1, 1, most});
    if (nms_.suppresses() && is_soft(nms_.kind)) {
      const int own_lists = nms_.classes_apart ? classes_ : 1;
      parts.take(lists_.soft.boxes, {batch_, 1, 1, capacity});
      parts.take(lists_.soft.decayed, {batch_, 1, own_lists, capacity});
      parts.take(lists_.soft.selected, {batch_, 1, own_lists, capacity});
      parts.take(lists_.soft.selected_counts, {batch_, 1, 1, own_lists});
    }
    return parts.bytes();
  };
  lists_memory_.allocate(network_.stream(), lay_out(nullptr));
  lay_out(lists_memory_.device());
}

View<ImagePlace> Detector::places() const {
  return {reinterpret_cast<ImagePlace*>(places_.host()), {batch_, 1, 1, 1}};
}

std::vector<std::vector<Detection>> Detector::run() {
  network_.upload();
  places_.upload();
  const auto work = [&] {
    network_.enqueue_forward();
    enqueue();
  };
  if (network_.device() == Device::cpu) {
    work();
  } else {
    if (!graph_.captured()) graph_.capture(network_.stream(), work);
    graph_.replay(network_.stream());
  }
  return read();
}

void Detector::enqueue() {
  if (network_.device() == Device::cpu) return;
  Stream& s = network_.stream();
  const std::vector<Head*> heads = network_.heads();
  cuda::fill_zero(s, lists_.counts.data, size_t(batch_) * sizeof(int));
  for (const Head* head : heads) head->list(s, {settings_.threshold, settings_.tree_threshold}, lists_);
  enqueue_suppression();
  cuda::collect_detections(s, lists_, settings_.threshold);
}

void Detector::enqueue_suppression() {
  Stream& s = network_.stream();
  const Shape input = network_.input().shape;
  const bool classes_apart = nms_.classes_apart || !nms_.suppresses();
  if (!classes_apart) cuda::keep_best_class(s, lists_, settings_.threshold);
  if (nms_.suppresses() && is_soft(nms_.kind))
    cuda::soft_nms(s, lists_, settings_.threshold, nms_.soft_rule(), classes_apart);
  else
    cuda::nms(s, lists_, settings_.threshold, nms_.suppresses(), nms_.rule(input.w, input.h), classes_apart);
}

std::vector<HeadOutput> Detector::outputs(std::vector<std::vector<float>>& memory) const {
  std::vector<HeadOutput> heads;
  for (size_t i = 0; i < network_.nodes().size(); ++i)
    if (const Head* head = network_.nodes()[i].layer->head()) {
      memory.push_back(network_.read(int(i)));
      heads.push_back({head, {memory.back().data(), network_.output(int(i))}});
    }
  return heads;
}

std::vector<Detector::Listed> Detector::download() const {
  std::vector<Listed> images(size_t(batch_), Listed{});
  if (network_.device() == Device::cpu) return images;
  counts_.download();
  const View<int> counts = {reinterpret_cast<int*>(counts_.host()), {1, 1, 2, batch_}};
  Stream stream = network_.stream();
  for (int n = 0; n < batch_; ++n) {
    const int found = counts(0, 0, 1, n), most = lists_.found.shape.c;
    images[n].complete = counts(0, 0, 0, n) <= lists_.capacity() && found <= most;
    if (!images[n].complete || found == 0) continue;
    images[n].detections.resize(size_t(found));
    cuda::copy(stream, images[n].detections.data(), lists_.found.data + int64_t(n) * most,
               size_t(found) * sizeof(ListedDetection));
  }
  cuda::synchronize(stream);
  return images;
}

std::vector<std::vector<Detection>> Detector::read() const {
  std::vector<std::vector<Detection>> result;
  std::vector<std::vector<float>> memory;
  std::vector<HeadOutput> heads;  // copied only if they are needed
  std::vector<Listed> images = download();
  for (int n = 0; n < batch_; ++n) {
    if (!images[n].complete) {
      if (heads.empty()) heads = outputs(memory);
      result.push_back(detections(heads, n, settings_, places()[n], network_.input().shape));
      continue;
    }
    std::vector<ListedDetection>& listed = images[n].detections;
    std::sort(listed.begin(), listed.end(), [](const ListedDetection& a, const ListedDetection& b) {
      return std::tuple(-a.score, a.candidate, a.class_id) < std::tuple(-b.score, b.candidate, b.class_id);
    });
    result.emplace_back();
    if (nms_.max_detections > 0 && int(listed.size()) > nms_.max_detections)
      listed.resize(size_t(nms_.max_detections));
    for (const ListedDetection& d : listed) result.back().push_back({d.class_id, d.score, d.box});
  }
  return result;
}

}  // namespace osprey
