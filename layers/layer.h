// What a layer is: it names its cfg keys, plans its memory once, then runs forward and backward.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/activations.h"
#include "core/cfg.h"
#include "core/convolution_algorithm.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"
#include "layers/filter_weights.h"

namespace osprey {

enum class Role {
  weights,    // trained, with weight decay
  offset,     // trained, without: biases and batch-norm scales
  statistic,  // not trained, but saved: rolling means and variances
};

// How a parameter lies in a Darknet .weights file, which is NCHW. In memory ours are [out, h, w, in].
enum class FileOrder {
  plain,            // as in memory
  convolution,      // out, in, h, w
  flattened_input,  // [connected]: out, then the flattened c, h, w of the input
};

struct ParameterInfo {
  const char* name;
  Role role = Role::weights;
  FileOrder order = FileOrder::plain;
  float fill = 0;            // the initial value ...
  float uniform = 0;         // ... plus, if not zero, what is drawn from U(-uniform, uniform)
  float normal = 0;          // ... or from a normal distribution of this deviation
  bool flipped = false;      // Darknet's `flipped`: transposed in the file
  bool batch_scale = false;  // scale, mean or variance: what `dontloadscales` leaves out
  float momentum = 0;        // of a statistic: how far each mini-batch moves it towards its own

  bool drawn() const { return uniform != 0 || normal != 0; }
};

// What a network is built for, where a layer needs to know.
struct BuildOptions {
  bool training = true;
  Device device = Device::cpu;
  Type precision = Type::f32;  // of activations and of the weights' copy; bf16 on Device::cuda only
  bool bf16_products = false;  // on the CPU: convolutions may round their factors, and layers that take it
                               // hand on bf16
  bool allow_tf32 = false;     // fp32 convolutions on a GPU may round their factors to 10 bits
  ConvolutionAlgorithm convolution = ConvolutionAlgorithm::automatic;  // on a GPU only `reference` matters
  float batchnorm_epsilon = 1e-5f;                                     // AlexeyAB's; OpenCV's is 1e-6
  bool losses_only = false;  // built as for training, but only to measure losses: nothing is trained
  bool frozen = false;       // this layer does not change in training: batch norm uses its rolling statistics
  Shape network_input;       // of the whole network: [yolo] has its anchors in pixels of that
};

// Collects what a layer needs. Nothing is allocated here: addresses arrive after all layers have asked, so
// that buffers whose lifetimes do not meet can share memory. The calls may be made in any order.
class Plan {
 public:
  enum class Life { keep, scratch, lasting };
  struct Want {  // memory besides the output
    Shape shape;
    Type type;
    Life life;
    std::function<void(void*)> bind;
    bool zeroed = true;  // lasting memory at the start
  };
  struct ParameterWant {
    Shape shape;
    ParameterInfo info;
    View<float>* value;
    View<float>* gradient;  // null for a statistic
    Tensor* copy;           // null if not asked for
  };
  struct Constant {
    std::vector<char> bytes;
    std::function<void(void*)> bind;
  };
  struct Input {
    PitchedShape shape;
    Type type = Type::f32;
  };

  // `output_type`: what the readers of this layer want, for those layers that can make either.
  // `output_pitch`: of the tensor that the output is a slice of, or 0.
  Plan(const Section& section, std::vector<Input> inputs, BuildOptions options,
       bool input_needs_gradient = true, Type output_type = Type::f32, int output_pitch = 0)
      : section_(section),
        inputs_(std::move(inputs)),
        options_(options),
        needs_dx_(input_needs_gradient),
        wanted_type_(output_type),
        output_pitch_(output_pitch) {}

  const BuildOptions& options() const { return options_; }
  bool training() const { return options_.training; }
  bool needs_dx() const { return needs_dx_ && training(); }  // false where nothing before it is trained
  int inputs() const { return int(inputs_.size()); }
  // How many items of the first input come from one image: 1, or the RoIs that were pooled from it.
  int items_per_image() const {
    const int images = options_.network_input.n;
    return images > 0 && input().n % images == 0 ? input().n / images : 1;
  }
  int line() const { return section_.line; }  // of the section in its file: tells layers of a network apart
  const std::string& cfg_file() const { return section_.file; }  // paths in it may be relative to its folder
  const PitchedShape& input(int k = 0) const { return inputs_.at(k).shape; }
  Type input_type(int k = 0) const { return inputs_.at(k).type; }
  bool on_gpu() const { return options_.device == Device::cuda; }

  // What the user asked for must make sense; `why` completes "yolo.cfg:12: [maxpool] ...". With a key, the
  // line is that key's.
  void require(bool sensible, const std::string& why) const {
    if (!sensible) section_.fail(section_.line, why);
  }
  void require(bool sensible, const char* key, const std::string& why) const {
    if (!sensible) section_.fail(section_.line_of(key), why);
  }

  // The output has the type of the first input, unless the layer says otherwise: heads and losses make f32,
  // convolutions what their readers want (wanted_type).
  void output(Shape shape) { output(shape, input_type()); }
  void output(Shape shape, Type type);
  Shape output_shape() const { return output_; }
  Type output_type() const { return output_type_; }
  int output_pitch() const { return output_pitch_; }
  Type wanted_type() const { return wanted_type_; }  // f32 where only heads and losses read, else precision

  // Alive from forward to backward; absent (a false View) in a network that never trains.
  template <class T>
  void keep(View<T>& view, Shape shape) {
    view = {};
    if (training()) want(view, shape, Life::keep);
  }
  void keep(Tensor& tensor, Shape shape, Type type) {
    tensor = {};
    if (training()) want(tensor, shape, type, Life::keep);
  }
  // Alive during one call of forward or backward, with nothing of use in it when the call starts.
  template <class T>
  void scratch(View<T>& view, Shape shape) {
    want(view, shape, Life::scratch);
  }
  void scratch(Tensor& tensor, Shape shape, Type type) { want(tensor, shape, type, Life::scratch); }
  // Alive as long as the network, at one address; zero at the start.
  template <class T>
  void lasting(View<T>& view, Shape shape) {
    want(view, shape, Life::lasting);
  }
  void lasting(Tensor& tensor, Shape shape, Type type) { want(tensor, shape, type, Life::lasting); }
  // Lasting, for what prepare() makes of the weights, the one parameter in another order than
  // FileOrder::plain: none that is declared is read again, unless prepare() is. Not zeroed, so that memory is
  // taken as it is filled.
  void packed(View<float>& view, Shape shape) {
    want(view, shape, Life::lasting);
    wants_.back().zeroed = false;
    packs_parameters_ = true;
  }
  // Lasting, and filled with these values: how a layer brings tables into the memory of its device.
  template <class T>
  void constant(View<const T>& view, const std::vector<T>& values) {
    view = {};
    if (values.empty()) return;
    const char* first = reinterpret_cast<const char*>(values.data());
    const Shape shape{1, 1, 1, int(values.size())};
    constants_.push_back({{first, first + values.size() * sizeof(T)}, [&view, shape](void* p) {
                            view = {static_cast<const T*>(p), shape};
                          }});
  }
  // Parameters are declared in the order of Darknet's file. `gradient` is not given for a statistic. `copy`
  // becomes the same values in the network's precision, kept up to date by the optimizer: `value` itself
  // under f32.
  void parameter(View<float>& value, View<float>& gradient, Shape shape, ParameterInfo info,
                 Tensor* copy = nullptr);
  void statistic(View<float>& value, Shape shape, ParameterInfo info);

  // What backward reads again. What is not named may be overwritten once its last forward reader is done.
  void backward_reads_input(int k = 0) { backward_reads_.push_back(k); }
  void backward_reads_output() { backward_reads_output_ = true; }
  // Forward may be given y and x(k) at one address: it reads each element before it writes it.
  void in_place(int k = 0) { in_place_ = k; }
  // y equals x(k) always. Forward is given them at one address wherever that is possible, and then does
  // nothing.
  void alias(int k = 0) { alias_ = k; }
  // Backward obeys writes(k). Otherwise dx is zeroed before its first writer, and every writer adds.
  void obeys_writes() { obeys_writes_ = true; }

  // Inputs of the whole network, for heads and losses.
  void truths(Truths& truths, int capacity);
  void targets(View<float>& targets, Shape shape);
  void proposals(Proposals& proposals, int capacity);
  void step(const Step*& step) { step_ = &step; }
  // Where a layer with a loss adds what it has to tell of each forward pass in training.
  void loss(LossReport*& report) { loss_ = &report; }

 private:
  friend class Network;
  friend class SingleLayer;  // of the tests

  // Of what is no element of a tensor, as a Box, the bytes are planned.
  template <class T>
  void want(View<T>& view, Shape shape, Life life) {
    constexpr bool kElement =
        std::is_same_v<T, float> || std::is_same_v<T, int> || std::is_same_v<T, uint8_t>;
    refuse_huge(shape, kElement ? 1 : int(sizeof(T)));
    Shape planned = shape;
    Type type = Type::u8;
    if constexpr (kElement)
      type = type_of<T>();
    else
      planned.c *= int(sizeof(T));
    wants_.push_back({planned, type, life, [&view, shape](void* p) { view = {static_cast<T*>(p), shape}; }});
  }
  void want(Tensor& tensor, Shape shape, Type type, Life life) {
    refuse_huge(shape);
    wants_.push_back({shape, type, life, [&tensor, shape, type](void* p) { tensor = {p, shape, type}; }});
  }
  void refuse_huge(Shape shape, int parts = 1) const;  // of each element

  const Section& section_;
  std::vector<Input> inputs_;
  BuildOptions options_;
  bool needs_dx_;
  Type wanted_type_;
  int output_pitch_;
  Shape output_;
  Type output_type_ = Type::f32;
  std::vector<Constant> constants_;
  std::vector<Want> wants_;
  std::vector<ParameterWant> parameters_;
  std::vector<int> backward_reads_;
  bool backward_reads_output_ = false, obeys_writes_ = false, packs_parameters_ = false;
  int in_place_ = -1, alias_ = -1;
  Truths* truths_ = nullptr;
  int truth_capacity_ = 0;
  View<float>* targets_ = nullptr;
  Shape targets_shape_;
  Proposals* proposals_ = nullptr;
  int proposal_capacity_ = 0;
  const Step** step_ = nullptr;
  LossReport** loss_ = nullptr;
};

// One line of `osprey summary`.
struct LayerSummary {
  int filters = 0;
  std::string window;           // "3x3/2"
  double flops = 0;             // for one image, a multiply-add counted as two, as Darknet prints it
  std::string algorithms = "";  // of a convolution on the CPU: CpuConvolution::algorithms()
};

class Head;

enum class Write { add, overwrite };

class Layer {
 public:
  virtual ~Layer() = default;

  virtual void keys(Keys& k) = 0;
  // The layers it reads, in the words of the cfg: "-1" is the one before, "8" the ninth, "p3" the one with
  // name=p3. The default is `from=` if given, else the layer before.
  virtual std::vector<std::string> sources() const {
    return from.empty() ? std::vector<std::string>{"-1"} : from;
  }
  virtual void plan(Plan& p) = 0;
  // In a network that never trains: called once whenever parameters have changed, to fold and pack them. The
  // weights of a layer that packs them (Plan::packed) may be in no memory: then `read` brings them.
  virtual void prepare(Stream&, [[maybe_unused]] const ReadFilters& read) {}
  virtual void forward(Stream& s) = 0;
  // Adds to each dx that is not empty, and to the gradients of its parameters. It may destroy dy.
  virtual void backward(Stream& s) = 0;

  // The type of y may differ from that of x: the layer asks its Plan for wanted_type().
  virtual bool converts() const { return false; }
  // What only heads read must be f32, and this layer, whose y has the type of x, wants its x to be so, too.
  virtual bool passes_type_on() const { return false; }

  // On the CPU under precision=bf16: whether its inputs may be in bf16, if each of them is, and whether its
  // output may. A layer that does not convert has one type for all of them.
  virtual bool takes_bf16(const BuildOptions&) const { return false; }
  virtual bool makes_bf16(const BuildOptions& build) const { return takes_bf16(build); }

  // In a network that never trains, an addition that follows can be done here: asks the layer to take a
  // second input of its output's shape and make y = activation(own result + x(1)).
  virtual bool absorb_sum(Activation) { return false; }
  // The activation of a plain sum of two equal shapes that could be absorbed so; nothing for all else.
  virtual std::optional<Activation> plain_sum() const { return std::nullopt; }
  // The same of max pooling: asks the layer to make y = the largest value in each window of its own result.
  virtual bool absorb_pool(const Window2&) { return false; }
  // The windows of a plain max pooling over pixels, which could be absorbed so; nothing for all else.
  virtual std::optional<Window2> plain_pool() const { return std::nullopt; }

  // Of a layer that does no more than to put channels side by side, of each input the group-th of so many
  // equal parts.
  struct Parts {
    int groups, group;
  };
  virtual std::optional<Parts> concatenates() const { return std::nullopt; }
  // In a network that never trains, on the CPU: whether y may be a slice of the channels of another tensor,
  // and whether x(k) may.
  virtual bool makes_slice() const { return false; }
  virtual bool reads_slice([[maybe_unused]] int k) const { return false; }

  virtual LayerSummary summary() const { return {}; }
  virtual bool has_loss() const { return false; }
  // Of a layer without a training: what to do about it; else null.
  virtual const char* why_not_trained() const { return nullptr; }
  virtual Head* head() { return nullptr; }  // for layers that detect

  Tensor x(int k = 0) const { return inputs[k]; }
  Tensor dx(int k = 0) const { return input_gradients[k]; }
  Write writes(int k = 0) const { return input_writes[k]; }

  Tensor y, dy;
  std::vector<Tensor> inputs, input_gradients;
  std::vector<Write> input_writes;

  std::vector<std::string> from;  // common key of all sections
};

struct LayerType {
  const char* name;     // the cfg section, and the name of the layer's files
  const char* aliases;  // Darknet's other names for it, between blanks, or null
  const char* help;     // one line for docs/cfg.md
  std::unique_ptr<Layer> (*make)();
};

template <class L>
std::unique_ptr<Layer> make() {
  return std::make_unique<L>();
}

const std::vector<const LayerType*>& layer_types();  // in the order of docs/cfg.md
const LayerType* find_layer_type(const std::string& name);
// Sections of Darknet that this engine does not have, with the reason; empty for a name that nobody knows.
std::string why_unsupported(const std::string& section);

}  // namespace osprey
