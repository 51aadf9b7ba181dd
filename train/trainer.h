// The training loop: batches in, checkpoints, weights, curves and figures out. A network with heads learns to
// detect, one without to classify.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/network.h"
#include "models/weights.h"
#include "train/checkpoint.h"
#include "train/iteration.h"
#include "train/optimizer.h"
#include "train/process_group.h"
#include "train/report/live_page.h"
#include "train/report/run_report.h"
#include "train/schedule.h"
#include "train/training_sets.h"
#include "train/validation.h"

namespace osprey {

// Of an iteration that has ended.
struct TrainProgress {
  int64_t iteration = 0, images = 0;  // so far
  double loss = 0, average_loss = 0, rate = 0;
  double seconds = 0, seconds_left = 0;  // that it took; of the training, by the mean so far
  float score = -1, best_score = -1;     // the last measured; -1 before the first
  int64_t next_measurement = 0;          // the iteration after which it is measured next
  double epochs = 0;                     // how often each image has been seen
};

struct TrainOptions {
  std::string cfg, data, weights;  // weights: to start from; may be empty
  std::string out;                 // folder of all that is written; the .data file's `backup` if empty
  bool resume = false;             // go on from the checkpoint in `out`
  bool keep_seen = false;  // count iterations on from the weights' header, as Darknet does; else from 0
  uint64_t seed = 0;
  int64_t max_batches = 0;  // instead of the .cfg's, if not 0
  // Iterations between two measurements on the validation list; 0: four epochs, at least 100 iterations and a
  // twentieth of the training.
  int64_t map_every = 0;
  int64_t map_epochs = 0;  // the same in epochs, if map_every is 0
  int64_t save_every = 0;  // iterations; 0: `savelast` of the .data file, or 100
  int patience = 0;        // stop when so many measurements in a row bring no better score; 0: never
  int loader_threads = 2;
  bool strict = false, lenient = false, map = true;
  bool map_on_training = false;  // measure on the training images where no others are named, as Darknet does
  ConvolutionAlgorithm convolution = ConvolutionAlgorithm::automatic;  // on the CPU
  bool validation_loss = true;                                         // measured with the score
  bool uncleared_gradients = false;                                    // see NetworkOptions
  Device device = Device::cpu;
  std::optional<Precision> precision;              // instead of that of [net]
  std::function<void(const TrainProgress&)> tell;  // of every iteration; in place of the progress bar
  int port = -1;                   // of a page that shows the training while it runs; -1: none
  std::string host = "127.0.0.1";  // see LivePage
};

struct TrainResult {
  int64_t iterations = 0;
  bool interrupted = false, stopped_early = false;
  double seconds = 0, images_per_second = 0, average_loss = 0;
  Measured measured;      // at the end
  float best_score = -1;  // of all measurements
  const char* score_name = "";
};

// In a process of a group all make the same steps; the one that leads measures, tells and writes.
class Trainer {
 public:
  explicit Trainer(TrainOptions options);
  TrainResult run();
  bool leads() const { return group_.leads(); }
  std::string final_weights() const { return file("_final.weights"); }

 private:
  NetworkOptions network_options() const;
  void begin();
  void enter_group();
  void check_share() const;
  void read_data();
  void plan();
  void start_from_weights();
  void make_loader();
  const std::vector<std::string>& fill(Network& network);  // with the next mini-batch; tells its images
  void iterate(int64_t iteration);
  bool measurement_is_due(int64_t iteration) const;
  int64_t next_measurement(int64_t iteration) const;
  void measure(const WeightsHeader& header);
  bool patience_is_over() const;
  bool is_kept(int64_t iteration) const;
  void save(int64_t iteration);
  void write_report();
  std::string progress_text(double images_per_second) const;
  std::string file(const std::string& suffix) const;  // "backup/yolov3-tiny" + suffix

  TrainOptions options_;
  ProcessGroup& group_ = ProcessGroup::own();
  std::vector<Section> sections_;
  DataFile data_;
  Dataset train_set_;
  AugmentOptions augment_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Validation> validation_;  // absent if nothing is measured
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<TrainingStep> training_step_;
  std::unique_ptr<MultiScale> scale_;
  std::unique_ptr<Loader> loader_;
  TrainingState state_;
  int64_t max_batches_ = 0, map_every_ = 0;
  std::string name_;
  Measured measured_;
  LossReport last_parts_;
  RunReport report_;
  std::unique_ptr<LivePage> page_;
};

}  // namespace osprey
