// Batches for training, made ahead of time by threads of their own.
//
// Which images make up a step, and all that is drawn for them, follow from the seed and the step alone: the
// same for any number of threads and in a run that was resumed. Every epoch is a new permutation of the
// samples (Darknet draws with replacement, so that by chance it leaves out a third of them per epoch).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/augment.h"
#include "data/dataset.h"

namespace osprey {

struct LoaderOptions {
  int batch = 1;              // images per step
  int width = 0, height = 0;  // of the network input
  int channels = 3;
  int max_boxes = 200;
  int classes = 0;         // of a classifier, whose samples have classes instead of boxes; 0: of a detector
  int max_proposals = 0;   // of an image, from the files that the samples name; 0: none are wanted
  AugmentOptions augment;  // its width, height and max_boxes are set from the above
  // The size of each step, where it changes (multi-scale); called from any thread, must depend on the step
  // alone.
  std::function<std::pair<int, int>(int64_t step)> size_of_step;
  uint64_t seed = 0;
  int threads = 2;
  int prefetch = 3;  // batches made ahead
  int64_t first_step = 0;
  // Where not every step is wanted: the n-th that is, by its number, from n = first_step on. Called from any
  // thread.
  std::function<int64_t(int64_t n)> step_of;
  float repeat_threshold = 0, repeat_power = .5f;  // of rare classes (data/repeats.h); 0: every image once
  bool shuffle = true;                             // false: the samples in their order, over and over
  bool difficult = false;                          // train on boxes marked difficult, too
  bool described = false;                          // the batch describes its images instead of holding them
  bool strict = false;  // an image that cannot be read is an error, instead of being replaced by the next
};

// The pixels are made, or described for a device that makes them: then it holds the bytes that are read of
// the images, in one buffer, which keeps the largest size it had.
struct Batch {
  int64_t step = 0;
  int width = 0, height = 0;
  std::vector<float> images;      // [batch,height,width,channels]; empty if they are described
  std::vector<SamplePlan> plans;  // [batch] if they are described; offsets are into `bytes`
  std::vector<uint8_t> bytes;
  std::vector<float> truths;     // [batch,max_boxes,5]: x, y, w, h in units of the input, class; rest 0
  std::vector<int> counts;       // [batch]: truths of each image
  std::vector<float> proposals;  // [batch,max_proposals,5]: x, y, w, h in units of the input, score; rest 0
  std::vector<int> proposal_counts;  // [batch]
  std::vector<float> targets;        // [batch,classes]: of a classifier
  std::vector<std::string> paths;    // [batch]: of each image (of a mosaic's first)
};

class Loader {
 public:
  // `dataset` must outlive the loader. Error: options that no batch can be made with, no samples.
  Loader(const Dataset& dataset, LoaderOptions options);

  // The batch of the next step; valid until the next call. Throws what went wrong while it was made.
  const Batch& next();

  int64_t broken_images() const { return broken_; }  // reads that failed so far

 private:
  struct Slot {
    Batch batch;
    int64_t step = -1;
    int remaining = 0;  // samples still to be made
    bool ready = false;
    std::vector<std::vector<uint8_t>> bytes;  // of each sample, until the last one is made
    int failed = 0;                           // the first sample that failed, if `error`
    std::exception_ptr error;
  };
  using Order = std::vector<int>;

  void work(std::stop_token stop);
  void open(Slot& slot, int64_t step);
  void make(Slot& slot, int i);
  Described describe_sample(Slot& slot, int i, const AugmentOptions& augmentation,
                            std::array<ByteImage, 4>& images);
  void make_pixels(Slot& slot, int i, Described& sample, std::array<ByteImage, 4>& images);
  void gather(Slot& slot);
  int sample_at(int64_t position);
  std::shared_ptr<const Order> order_of(int64_t epoch);
  int partner_of(int64_t position, Random& random);  // another sample for a mosaic or a mixture
  const Sample& read(int index, ByteImage& image);
  std::vector<Label> usable_labels(const Sample& sample) const;

  const Dataset& dataset_;
  const LoaderOptions options_;
  const std::vector<float> repeats_;  // of each sample; empty: all are seen once an epoch
  const int64_t epoch_;               // samples in one
  std::atomic<int64_t> broken_{0};
  std::mutex order_mutex_;
  std::map<int64_t, std::shared_ptr<const Order>> orders_;

  std::mutex mutex_;
  std::condition_variable_any work_to_do_, batch_ready_;
  std::vector<Slot> slots_;            // of step s: slots_[s % size]
  int64_t ticket_ = 0;                 // next sample to make, counted from the first step
  int64_t current_;                    // step of the batch given out last
  std::vector<std::jthread> workers_;  // last, so that they end before what they use
};

}  // namespace osprey
