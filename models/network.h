// From .cfg text to a network that runs: sections become layers, references become edges, and all memory of a
// step is planned before the first one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/sample.h"
#include "cuda/graph.h"
#include "cuda/runtime.h"
#include "layers/heads/head.h"
#include "layers/layer.h"
#include "models/memory_plan.h"
#include "models/net_section.h"
#include "models/parameters.h"

namespace osprey {

struct NetworkOptions {
  BuildOptions build;                  // its precision and allow_tf32 follow from the next
  std::optional<Precision> precision;  // instead of that of [net]
  bool lenient = false;                // unknown keys are warnings
  // AlexeyAB's CPU build never clears the gradients that reach a [route] or an [upsample]: they pile up from
  // one mini-batch to the next. His GPU builds clear them, and so do we; this is for comparing with the
  // former.
  bool uncleared_gradients = false;
  bool keep_all = false;  // every layer's output stays readable after forward (for dumps)
  // For few forward passes of a network that never trains, on the CPU: each brings the parameters anew, layer
  // by layer, into memory that the next layer takes over. Memory that nobody touches costs no time.
  bool streams = false;
  // In inference on the CPU: how many images of a mini-batch run together, a divisor of it. 0: as
  // Network::plan() finds best.
  int images_together = 0;
};

// What stays as it is in an iteration: nothing of a layer, all but its batch norm, or all, statistics
// included.
enum class Frozen { nothing, weights, all };
struct Freezing {
  int last_stop = -1;          // no gradient reaches this layer or those before it
  std::vector<Frozen> layers;  // of each layer's parameters
  bool operator==(const Freezing&) const = default;
};

constexpr int kInput = -1;  // the input of the network, where the index of a layer is expected

struct Node {
  const LayerType* type = nullptr;
  Section section;
  std::unique_ptr<Layer> layer;
  std::vector<int> inputs;  // indexes of layers, or kInput
  Shape output;
  Type output_type = Type::f32;
  bool read_by_losses = false;  // by heads and losses alone
  bool in_bf16 = false;         // its output, on the CPU

  // Keys that all sections share.
  std::string name;
  float rate = 1;     // factor of the learning rate
  std::string share;  // the layer whose parameters it uses, in the words of the cfg
  bool only_forward = false, dont_load = false, dont_load_scales = false;
  int64_t stop_backward = 0, dont_update = 0,
          burnin_update = 0;  // iterations, but 1 for stop_backward: always
  bool freeze = false, train_only_bn = false;

  int owner = -1;       // of its parameters: this layer, or the one that `share` names
  int first_span = -1;  // where its parameters start in the table

  std::vector<bool> zeroes_before_backward;  // for each input: its gradient must start as zeros

  bool trains = true;  // gets gradients: a loss can be reached from it, and something at or before it learns
  bool packs_parameters = false;  // in prepare(), after which it does not read them (Plan::packed)
  // In a network that never trains: the convolution that does this layer's work, or -1. It either adds this
  // sum, or is the last of a chain of convolutions, which keep nothing but the last one's output.
  int absorbed_by = -1, chained_to = -1;
  int alias = -1;  // the layer whose output is this one's, too
  // The layer of whose output this one's is a part, from this channel on, or -1; in such a network on the
  // CPU.
  struct Slice {
    int of = -1, first = 0;
  } slice;
  int worker(int self) const { return absorbed_by >= 0 ? absorbed_by : chained_to >= 0 ? chained_to : self; }
};

// The keys that every section has, for reading and for the documentation.
void common_keys(Keys& keys, Node& node);

class Network {
 public:
  // Builds the layers and the parameters; plan() must follow. Throws Error with file:line of what is wrong.
  explicit Network(std::vector<Section> sections, NetworkOptions options = {});
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Shapes and memory for mini-batches of this size. May be called again with another size: the parameters
  // stay, and memory only grows, so the largest size should come first.
  //
  // Inference on the CPU gains nothing from many images at once: there a mini-batch passes in groups of as
  // few images as are worth their calls, whose tensors are smaller and stay in the caches. Not so where most
  // weights are read for a handful of pixels, as in layers that see the whole image.
  void plan(int batch, int width, int height);
  // In a network that never trains: fold and pack the parameters. To be called after they have changed.
  void prepare();
  // The same where they never will, with the values of `read`. On the CPU each layer is prepared as soon as
  // it has its own: weights that are packed are read while they are, and are never in the network's memory.
  // With `streams` that happens in each forward pass, so what `read` needs must live as long as it.
  void prepare_for_good(const ReadParameter& read);

  // Freezes the layers that their keys (stopbackward, dont_update, ...) say for this iteration of training,
  // the first of which is 1; true if they are others than before: plan() must follow. Until it is called,
  // what is frozen for a time is not, and the first plan() must be such a one.
  bool freeze_for(int64_t iteration);
  bool freezes_others(int64_t iteration) const { return freezing_at(iteration) != freezing_; }
  int trained_layers() const;  // with parameters that change in training, as planned

  void forward();
  void backward();  // adds to the gradients of the parameters

  // What forward() is made of: the host's copies into the device's memory, then only work of the device, in
  // the order of stream(), which may be captured.
  void upload();
  void enqueue_input(int pass = 0);  // the first part of each pass: its images as the layers read them
  void enqueue_forward();
  int passes() const { return passes_; }  // of a mini-batch: 1, but in inference on the CPU
  Stream& stream() { return stream_; }
  void wait() const;                                  // until the device has done all of it
  void wait_for_upload() const { uploaded_.wait(); }  // until what the host wrote may be written anew

  // What the layers that have a loss told of the forward passes since the last clear_losses(), by layer.
  void clear_losses();
  std::vector<LossReport> losses() const;

  int64_t plan_number() const { return plan_number_; }  // grows with each plan(): addresses have changed

  // The output of a layer, in the host's memory; waits for the device. Outputs share memory: after forward()
  // only those of heads, losses and the last layer are still there, or with keep_all every one.
  std::vector<float> read(int layer) const;
  Shape output(int layer) const;  // the shape of that: of the whole mini-batch

  // Runs forward once more on the images of the last upload and returns the first layer whose output holds a
  // NaN or an infinity, or -1. For a network that trains.
  int first_not_finite();

  // In the host's memory, to be filled before forward(): the images [N,H,W,C], RGB, 0..1, which the network
  // normalises as [net] says; and in training what the losses read.
  Tensor input() const { return fed_input_; }
  // On a device the images may be given as bytes instead, with what to make of them (core/sample.h): the next
  // upload() brings them, and the device makes the input.
  void set_samples(const std::vector<uint8_t>& bytes, const std::vector<SamplePlan>& plans);
  // The input of the last upload, in the host's memory; waits for the device.
  std::vector<float> read_input() const;
  // The next upload() leaves the images on the device as they are.
  void keep_images() { keep_images_ = true; }
  const Truths& truths() const { return truths_; }
  int truth_capacity() const { return truth_capacity_; }  // the least max= of all heads
  // To be filled before forward(), too; empty if there is no [proposals].
  const Proposals& proposals() const { return proposals_; }
  int proposal_capacity() const { return proposals_.boxes ? proposals_.boxes.shape.w : 0; }
  bool takes_proposals() const;                     // there is a [proposals]; also before plan()
  View<float> targets() const { return targets_; }  // of a classifier; empty if there is no such layer
  Step& step() { return *reinterpret_cast<Step*>(feed_.host()); }

  // What of that and of the losses an optimizer reads, in memory of the device.
  const Step* device_step() const { return reinterpret_cast<const Step*>(feed_.device()); }
  const LossReport* device_losses() const {  // one for each layer
    return reinterpret_cast<const LossReport*>(reports_.device());
  }

  const NetSection& net() const { return net_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }
  std::vector<Head*> heads() const;
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  const MemoryPlan& memory() const { return memory_; }
  bool training() const { return options_.build.training; }
  bool learns() const { return training() && !options_.build.losses_only; }
  Device device() const { return stream_.device; }

  // "12 [convolutional], yolo.cfg:96" for messages.
  std::string where(int layer) const;

 private:
  int resolve(int layer, const std::string& reference, const char* key) const;
  int owner_of_parameters(int layer) const;
  bool may_pass_in_groups() const;
  int images_of_pass(int batch, const std::vector<Plan>& of_one) const;
  bool is_read(size_t layer) const;  // by the host, after forward()
  void enqueue_layers();
  void gather_outputs(int pass);
  Freezing freezing_at(int64_t iteration) const;
  float rate_of(const Plan& plan, int layer, const ParameterInfo& info) const;
  std::vector<int> readers_of_each() const;  // how many inputs of layers each layer is
  bool absorb_sums();
  bool absorb_pools();
  bool chain_convolutions();
  bool cut_slices();
  int pitch_of(int layer) const;
  void open_device(const Section& net);
  void mark_trained();
  void mark_read_by_losses();
  void mark_bf16();
  BuildOptions options_of(size_t layer, Shape input) const;
  std::vector<Plan> plan_layers(int batch, int width, int height);
  void bind(std::vector<Plan>& plans);
  void bind_lasting(const std::vector<Plan>& plans);
  void bind_feed(const std::vector<Plan>& plans);
  template <class Work>
  void on_layer(int layer, Work&& work);
  void check_shared(const std::vector<Plan>& plans, int layer) const;
  void add_parameters(const std::vector<Plan>& plans);
  void fill_zero(void* memory, size_t bytes);  // of the device
  bool packs_its_own(int layer) const;         // parameters, which no other layer shares
  void prepare_layer(int layer, const ReadParameter&);
  bool streams() const;  // it is asked for, and can be done: no two layers share parameters
  // Whether the images lie beside the input that layers read, which is made of them.
  bool has_images() const { return stream_.device != Device::cpu || net_.normalisation.on || passes_ > 1; }

  NetworkOptions options_;
  NetSection net_;
  Stream stream_;
  int64_t plan_number_ = 0;
  cuda::Graph forward_graph_;   // of a network that never trains, on a GPU,
  int64_t captured_plan_ = -1;  // with the addresses of this plan
  std::vector<Node> nodes_;
  Freezing freezing_;
  Parameters parameters_;
  ReadParameter read_;  // with streams()
  MemoryPlan memory_;
  std::unique_ptr<Arena> arena_;
  DeviceBuffer lasting_{"the network's lasting memory"}, feed_{"what a step reads"},
      reports_{"what the losses tell"}, images_{"the images of a step"}, bytes_{"the images as bytes"},
      sample_plans_{"the plans of the images"};
  cuda::Event uploaded_;
  bool keep_images_ = false;
  size_t sample_bytes_ = 0;  // given with set_samples() for the next upload; 0: input() was written
  int passes_ = 1;
  std::vector<std::vector<char>> gathered_;  // with several passes: of each layer that is read, the outputs
  Tensor input_;                             // as layers read it
  Tensor fed_input_;                         // as the host writes it: the same, or the host's side of images_
  Truths truths_;
  int truth_capacity_ = 0;
  View<float> targets_;
  Proposals proposals_;
};

}  // namespace osprey
