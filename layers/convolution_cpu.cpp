#include "layers/convolution_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <mutex>
#include <vector>

#include "core/autotune.h"
#include "core/parallel.h"
#include "cuda/maxpool.h"
#include "layers/simd/group_product.h"
#include "layers/simd/outer_product.h"
#include "layers/simd/weight_gradient.h"
#include "layers/simd/window_product.h"
#include "layers/simd/winograd_gradient.h"

namespace osprey {
namespace {

// Products where the pixels lie: simd::WindowProduct, or simd::GroupProduct.
template <class Product>
class Direct final : public ConvolutionDirection, public ConvolutionRows {
 public:
  Direct(std::vector<Product> parts, Shape out) : parts_(std::move(parts)), out_(out) {
    int64_t made = 0;  // pixels of an image
    for (const auto& part : parts_) made += part.pixels();
    leaves_gaps_ = made < int64_t(out.h) * out.w;
  }

  int64_t packed_size() const override {
    int64_t size = 0;
    for (const auto& part : parts_) size += part.packed_size();
    return size;
  }
  void pack(const FilterWeights& weights, float* packed) const override {
    for (const auto& part : parts_) {
      part.pack(weights, packed);
      packed += part.packed_size();
    }
  }
  void run(const void* in, const float* packed, const simd::Epilogue& e, void* out) const override {
    if (leaves_gaps_ && e.residual != out) std::memset(out, 0, size_t(out_.elements()) * bytes_of(e.type));
    for (const auto& part : parts_) {
      part.run(in, packed, e, out);
      packed += part.packed_size();
    }
  }
  const ConvolutionRows* rows() const override {
    return parts_.size() == 1 && !leaves_gaps_ ? this : nullptr;
  }
  void run_rows(const void* in, const float* packed, const simd::Epilogue& e, void* out, int first,
                int last) const override {
    parts_[0].run_rows(in, packed, e, out, first, last);
  }

 private:
  std::vector<Product> parts_;
  Shape out_;
  bool leaves_gaps_;  // pixels of `out` that no part makes: the sum of nothing, or what they were
};

// Rows of the output that some rows of windows see, and then the largest in each of these, while the rows are
// in a cache. Windows touch each other, and the first begins with the first row.
class Pooled final : public ConvolutionDirection {
 public:
  // `pitch`: of what comes out.
  Pooled(simd::WindowProduct product, Window2 window, int pitch)
      : product_(std::move(product)), window_(window), pitch_(pitch) {}

  int64_t packed_size() const override { return product_.packed_size(); }
  void pack(const FilterWeights& weights, float* packed) const override { product_.pack(weights, packed); }
  void run(const void* in, const float* packed, const simd::Epilogue& e, void* out) const override {
    constexpr int64_t kInCache = 1 << 15;  // values
    const Shape full = product_.out_, pooled = pooled_shape(full, window_);
    const int64_t row = int64_t(full.w) * full.c, most = kInCache / (row * window_.h.size);
    const int at_once = int(std::clamp<int64_t>(most, 1, pooled.h));
    const int64_t in_image = product_.in_.place(1, 0, 0);
    parallel_for(int64_t(pooled.n) * pooled.h, at_once, [&](int64_t begin, int64_t end) {
      thread_local std::vector<float> memory;
      memory.resize(std::max(memory.size(), size_t(at_once * window_.h.size * row)));
      void* kept = memory.data();
      for (int64_t i = begin; i < end;) {
        const int n = int(i / pooled.h), h = int(i % pooled.h);
        const int count = int(std::min<int64_t>({at_once, end - i, pooled.h - h}));
        const int first = h * window_.h.size, last = std::min((h + count) * window_.h.size, full.h);
        product_.run_rows(nth(in, n * in_image, product_.in_type_), packed, e,
                          nth(kept, -first * row, e.type), first, last);
        Stream stream;
        const PitchedShape band({1, count, pooled.w, pooled.c}, pitch_);
        void* made = nth(out, i * pooled.w * pitch_, e.type);
        cpu::maxpool_forward(stream, {kept, {1, last - first, full.w, full.c}, e.type}, {made, band, e.type},
                             {}, window_);
        i += count;
      }
    });
  }

 private:
  simd::WindowProduct product_;
  Window2 window_;
  int pitch_;
};

class ByWinograd final : public ConvolutionDirection {
 public:
  explicit ByWinograd(simd::Winograd form) : form_(form) {}

  int64_t packed_size() const override { return form_.packed_size(); }
  void pack(const FilterWeights& weights, float* packed) const override { form_.pack(weights, packed); }
  void run(const void* in, const float* packed, const simd::Epilogue& e, void* out) const override {
    form_.run(in, packed, e, out);
  }

 private:
  simd::Winograd form_;
};

// Where it is tried: arrays as large as the problem's are in floats, that hold small numbers, since zeros
// cost less power.
// In inference the weights of all layers together are more than the caches hold: they are driven out before
// each run. The input and the memory that the algorithm works in are in the caches, since the layer before
// used them: a run with other weights brings them there. The packed ones of all candidates share their
// memory, which is the most that a program needs.
struct TrialGround {
  TrialGround(PitchedShape ins, Type in_type, Shape weights, PitchedShape outs, Type out_type)
      : in(size_t(ins.extent())),
        weights(size_t(weights.elements()), 0.01f),
        out(size_t(outs.extent())),
        x(in.data(), ins, in_type),
        y(out.data(), outs, out_type) {
    fill(x);
  }

  static void fill(const Tensor& t) {
    with_type(t.type, [&](auto number) {
      std::fill_n(static_cast<decltype(number)*>(t.data), t.shape.extent(), 0.01f);
    });
  }

  // Of one run.
  template <class Work>
  double seconds_of(Work&& work) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  double seconds(const ConvolutionDirection& direction, bool packs_each_time) {
    const size_t size = size_t(direction.packed_size());
    packed.resize(std::max(packed.size(), size));
    const double packing = seconds_of([&] { direction.pack(weights.data(), packed.data()); });
    simd::Epilogue e;
    e.type = y.type;
    const auto run = [&](const std::vector<float>& by) {
      return seconds_of([&] { direction.run(x.data, by.data(), e, y.data); });
    };
    if (packs_each_time) return packing + run(packed);
    other.resize(std::max(other.size(), size));
    std::fill(other.begin(), other.end(), 1.0f);
    run(other);
    return run(packed);
  }

  std::vector<float> in, weights, out, packed;
  Tensor x, y;
  std::vector<float> other = std::vector<float>(size_t(16) << 20);
};

AutotuneCache& choices() {
  static AutotuneCache cache(autotune_path());
  return cache;
}

// Too much to be had, which the plan refuses, where there are more.
int count_of(int64_t floats) { return int(std::min<int64_t>(floats, std::numeric_limits<int>::max())); }

constexpr int kLine = 16;         // floats of a line of the cache
constexpr int kFewChannels = 16;  // with which Winograd's transforms take longer than they save

}  // namespace

std::string CpuConvolution::Form::name() const {
  return std::string(kConvolutionAlgorithms[int(algorithm)]) + (rounds ? " bf16" : "") +
         (late ? " late" : "");
}

std::unique_ptr<ConvolutionDirection> CpuConvolution::make(Form form, bool backward) const {
  if (form.algorithm == ConvolutionAlgorithm::direct) {
    const Shape in = backward ? y_ : x_, out = backward ? x_ : y_;
    if (simd::GroupProduct::fits(in.c, out.c, convolution_.groups)) {
      auto parts = backward ? simd::GroupProduct::backward_data(x_, y_, convolution_)
                            : std::vector{simd::GroupProduct::forward(x_, y_, convolution_)};
      return std::make_unique<Direct<simd::GroupProduct>>(std::move(parts), out);
    }
    const auto forward = [&](PitchedShape y) {
      return simd::WindowProduct::forward(x_, y, convolution_, form.rounds, options_.x_type);
    };
    if (options_.pool) return std::make_unique<Pooled>(forward(Shape(y_)), *options_.pool, y_.pitch);
    auto parts = backward
                     ? simd::WindowProduct::backward_data(x_, y_, convolution_, form.rounds, options_.y_type)
                     : std::vector{forward(y_)};
    return std::make_unique<Direct<simd::WindowProduct>>(std::move(parts), out);
  }
  simd::Winograd own = winograd(form, backward);
  if (options_.pool) own.pool();
  return std::make_unique<ByWinograd>(own);
}

simd::Winograd CpuConvolution::winograd(Form form, bool backward) const {
  using simd::Winograd;
  const int m = form.algorithm == ConvolutionAlgorithm::winograd2   ? 2
                : form.algorithm == ConvolutionAlgorithm::winograd4 ? 4
                : form.algorithm == ConvolutionAlgorithm::winograd5 ? 5
                                                                    : 6;
  if (form.late || m == 5) return Winograd::forward_late(x_, y_, convolution_, m, options_.x_type);
  return backward ? Winograd::backward_data(x_, y_, convolution_, m, form.rounds, options_.y_type)
                  : Winograd::forward(x_, y_, convolution_, m, form.rounds, options_.x_type);
}

bool CpuConvolution::fits_strided() const {
  return simd::Winograd::fits(convolution_, 2) && std::min(x_.c, y_.c) >= kFewChannels &&
         !options_.training && !options_.bf16_products && !options_.pool;
}

// Best guess first. Winograd's transforms are worth it where there are channels enough, and his larger tiles
// where the image has room for many: with few tiles the time goes into reading the weights, of which larger
// tiles have more, unless they are transformed as they are used. That takes long where tiles are many, and is
// not done in training, which packs weights anew each time. In bf16 only the smallest tiles keep enough
// digits; the larger ones in float compete with them.
std::vector<CpuConvolution::Form> CpuConvolution::candidates(Pass pass) const {
  using Algorithm = ConvolutionAlgorithm;
  const Shape in = pass == Pass::forward ? x_ : y_, out = pass == Pass::forward ? y_ : x_;
  const bool narrow = simd::GroupProduct::fits(in.c, out.c, convolution_.groups);
  const Form direct{Algorithm::direct, options_.bf16_products && !narrow};
  const Form large{Algorithm::winograd4, false}, late{Algorithm::winograd4, false, true};
  const auto tiles_of = [&](int m) { return int64_t(out.n) * ((out.h + m - 1) / m) * ((out.w + m - 1) / m); };
  const int64_t tiles = tiles_of(4);
  if (fits_strided()) {
    constexpr double kWorth = 0.7;  // of the products
    const int64_t windows = int64_t(out.n) * out.h * out.w;
    if (options_.algorithm == Algorithm::winograd4) return {late};
    if (options_.algorithm == Algorithm::automatic && double(tiles * 9 * 9) <= kWorth * double(windows * 9))
      return {late, direct};
  }
  if (!simd::Winograd::fits(convolution_) || options_.algorithm == Algorithm::direct) return {direct};
  // Winograd's tiles hold pairs of channels, but in the gradient of weights pairs of tiles.
  const bool rounds = options_.bf16_products && (pass == Pass::weights || in.c % 2 == 0);
  const Form small{Algorithm::winograd2, rounds}, of_five{Algorithm::winograd5, false};
  constexpr int kFewTiles = 32, kFewForLate = 256, kMostForLate = 512;
  constexpr double kWorthOthers = 0.9;  // of the products
  // As of 13x13 or 14x14, which tiles of 4x4 reach over.
  const bool five_fits =
      !options_.bf16_products && double(tiles_of(5) * 7 * 7) <= kWorthOthers * double(tiles * 6 * 6);
  const bool few_tiles = tiles < kFewTiles, late_is_best = !options_.training && tiles < kFewForLate;
  // Where little is summed, digits are worth more than time.
  if (pass == Pass::weights && options_.algorithm >= Algorithm::winograd4)
    return {few_tiles ? Form{Algorithm::winograd2, false} : large};
  if (options_.algorithm >= Algorithm::winograd5 && options_.bf16_products) return {large};
  if (options_.algorithm == Algorithm::winograd5 && options_.training) return {large};
  if (options_.algorithm == Algorithm::winograd4 && late_is_best) return {late};
  if (options_.algorithm != Algorithm::automatic)
    return {{options_.algorithm, rounds && options_.algorithm == Algorithm::winograd2}};
  if (std::min(in.c, out.c) < kFewChannels) return {direct};
  if (rounds || (options_.training && few_tiles)) return {small, large, direct};
  if (late_is_best && five_fits) return {of_five, late, large, small, direct};
  if (late_is_best) return {late, large, small, direct};
  if (!options_.training && tiles < kMostForLate) return {large, late, small, direct};
  return {large, small, direct};
}

CpuConvolution::Form CpuConvolution::choose(Pass pass) const {
  std::vector<Form> forms = candidates(pass);
  if (options_.pool) {  // at another size, maybe, than that for which pools() said so
    const auto cannot = [&](const Form& f) {
      return f.algorithm != ConvolutionAlgorithm::direct && !pools(f, *options_.pool);
    };
    std::erase_if(forms, cannot);
    if (forms.empty()) forms = {{ConvolutionAlgorithm::direct, options_.bf16_products}};
  }
  if (forms.size() == 1 || !autotune_wanted()) return forms[0];

  constexpr const char* kPasses[] = {"forward", "backward data", "backward weights"};
  const auto text = [](Shape shape, Type type) {
    return shape.text() + (type == Type::bf16 ? " in bf16" : "");
  };
  const std::string key = fmt::format(
      "cpu {} {} {} {} to {} pad {} {} vectors of {} threads {}", options_.bf16_products ? "bf16" : "f32",
      options_.training ? "training" : "inference", kPasses[int(pass)], text(x_, options_.x_type),
      text(y_, options_.y_type), convolution_.window.h.before, convolution_.window.w.before,
      simd::vector_width(), threads());
  std::unique_ptr<TrialGround> ground;
  const Shape weights = convolution_.weights(x_, y_.c);
  const auto seconds = [&](const Form& form) {
    if (!ground)
      ground = pass == Pass::forward
                   ? std::make_unique<TrialGround>(x_, options_.x_type, weights, y_, options_.y_type)
                   : std::make_unique<TrialGround>(y_, options_.y_type, weights, x_, options_.x_type);
    if (pass != Pass::weights) return ground->seconds(*make(form, pass == Pass::data), options_.training);
    TrialGround::fill(ground->y);
    return ground->seconds_of([&] {
      add_weight_gradient(form, ground->y, ground->x, {ground->weights.data(), weights});
    });
  };
  std::vector<Candidate> trials;
  for (const Form& form : forms)
    trials.push_back(
        {form.name(), "", false, [] { return true; }, [&] { return seconds(form); },
         options_.training ? 0 : make(form, pass == Pass::data)->packed_size() * int64_t(sizeof(float))});
  static std::mutex mutex;  // nothing is timed while another thread does the same
  const std::lock_guard lock(mutex);
  const size_t chosen = *osprey::choose(key, trials, &choices());
  choices().save();
  return forms[chosen];
}

CpuConvolution::Choice CpuConvolution::direction(Pass pass) const {
  const Form form = choose(pass);
  return {form, make(form, pass == Pass::data)};
}

CpuConvolution::CpuConvolution(PitchedShape x, PitchedShape y, Convolution convolution, Options options)
    : x_(x), y_(y), convolution_(convolution), options_(options) {
  if (options_.algorithm != ConvolutionAlgorithm::onednn) {
    forward_ = direction(Pass::forward);
    if (!options.training) return;
    if (options.needs_dx) data_ = direction(Pass::data);
    weights_ = choose(Pass::weights);
    if (simd::GroupProduct::fits(x.c, y.c, convolution.groups))
      narrow_ = std::make_unique<simd::GroupProduct>(simd::GroupProduct::forward(x, y, convolution));
    return;
  }
  OneDnnConvolution::Options o;
  o.training = options.training;
  o.needs_dx = options.needs_dx;
  o.bias = options.bias;
  o.factors = options.factors;
  if (OneDnnConvolution::folds(options.activation) && OneDnnConvolution::folds(options.residual_activation)) {
    o.activation = options.activation;
    o.residual = options.residual;
    o.residual_activation = options.residual_activation;
    onednn_finishes_ = true;
  }
  onednn_ = std::make_unique<OneDnnConvolution>(x, y, convolution, o);
}

CpuConvolution::~CpuConvolution() = default;

bool CpuConvolution::pools(const Window2& window) const {
  return forward_.direction && pools(forward_.form, window);
}

bool CpuConvolution::pools(Form form, const Window2& window) const {
  const auto touch = [](const Window& w) { return w.size == w.stride && w.before == 0 && w.dilation == 1; };
  if (options_.training || convolution_.groups != 1 || options_.residual || !touch(window.h) ||
      !touch(window.w))
    return false;
  constexpr int64_t kRowsOfAThread = 8;
  if (form.algorithm == ConvolutionAlgorithm::direct)
    return int64_t(y_.n) * window.h.outputs(y_.h) >= kRowsOfAThread * threads();
  return window.h.size == 2 && window.w.size == 2 && winograd(form, false).pools();
}

// In bf16 an odd number of channels is read with what lies behind them, which must be a number.
bool CpuConvolution::reads_slice() const {
  return !options_.training && forward_.direction && convolution_.groups == 1 &&
         (!options_.bf16_products || x_.c % 2 == 0);
}

// Fewer filters than a vector holds share it, and pixels must lie side by side for that.
bool CpuConvolution::makes_slice() const { return reads_slice() && y_.c >= simd::vector_width(); }

int CpuConvolution::packed_size() const {
  return onednn_ ? onednn_->packed_size() : count_of(forward_.direction->packed_size());
}

int CpuConvolution::scratch_size() const {
  if (onednn_) return onednn_->scratch_size();
  const int64_t data = data_.direction ? data_.direction->packed_size() : kLine;
  return count_of(narrow_ ? std::max(data, narrow_->gradient_scratch()) : data);
}

void CpuConvolution::pack(const FilterWeights& weights, View<float> packed) {
  if (!onednn_) return forward_.direction->pack(weights, packed.data);
  std::vector<float> memory;
  const Shape shape = convolution_.weights(x_, y_.c);
  onednn_->pack({weights.get(0, y_.c, 0, memory), shape}, packed);
}

simd::Epilogue CpuConvolution::for_loops(const Epilogue& e) const {
  return {e.factors.data, e.bias.data, e.residual.data, options_.activation, options_.residual_activation,
          options_.y_type};
}

void CpuConvolution::forward(Tensor x, View<float> packed, const Epilogue& e, Tensor out,
                             View<float> scratch) {
  if (!onednn_) return forward_.direction->run(x.data, packed.data, for_loops(e), out.data);
  const View<float> y = out;
  const View<const float> residual = e.residual;
  onednn_->forward(x, packed, {e.bias, e.factors, onednn_finishes_ ? residual : View<const float>()}, y,
                   scratch);
  if (onednn_finishes_) return;
  with_activation(options_.activation, [&](auto act) {
    parallel_for(y.size(), 1 << 14, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) y.data[i] = activate(act, y.data[i]);
    });
  });
  if (!residual) return;
  with_activation(options_.residual_activation, [&](auto act) {
    parallel_for(y.size(), 1 << 14, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) y.data[i] = activate(act, y.data[i] + residual.data[i]);
    });
  });
}

// Where Winograd's algorithm fits, another size may ask for it. Weights that are more than the pixels would
// cost more to read for every band than is saved.
ChainedLayer::Kind CpuConvolution::kind() const {
  if (!forward_.direction || !forward_.direction->rows() || simd::Winograd::fits(convolution_) ||
      fits_strided())
    return ChainedLayer::Kind::none;
  if (simd::GroupProduct::fits(x_.c, y_.c, convolution_.groups)) return ChainedLayer::Kind::narrow;
  const int64_t pixels = std::max(x_.elements(), y_.elements()) / x_.n;
  return convolution_.weights(x_, y_.c).elements() <= pixels ? ChainedLayer::Kind::wide
                                                             : ChainedLayer::Kind::none;
}

ChainLink CpuConvolution::link(View<const float> packed, const Epilogue& e) const {
  return {forward_.direction->rows(), x_, y_, convolution_.window.h, packed.data, for_loops(e)};
}

void CpuConvolution::backward_data(Tensor dy, View<const float> weights, Tensor dx, bool add,
                                   View<float> scratch) {
  if (onednn_) return onednn_->backward_data(dy, weights, dx, add, scratch);
  data_.direction->pack(weights.data, scratch.data);
  simd::Epilogue e;
  e.type = dx.type;
  if (add) e.residual = dx.data;
  data_.direction->run(dy.data, scratch.data, e, dx.data);
}

void CpuConvolution::backward_weights(Tensor x, Tensor dy, View<float> dweights, View<float> scratch) {
  if (onednn_) return onednn_->backward_weights(x, dy, dweights, scratch);
  if (narrow_)
    return narrow_->add_weight_gradient(x.view<const float>().data, dy.view<const float>().data,
                                        dweights.data, scratch.data);
  add_weight_gradient(weights_, x, dy, dweights);
}

void CpuConvolution::add_weight_gradient(Form form, Tensor x, Tensor dy, View<float> dweights) const {
  if (form.algorithm == ConvolutionAlgorithm::direct)
    return simd::weight_gradient(x, dy, dweights, convolution_, form.rounds);
  const int m = form.algorithm == ConvolutionAlgorithm::winograd2 ? 2 : 4;
  simd::WinogradGradient(x.shape, dy.shape, convolution_, m, form.rounds).add(x, dy, dweights.data);
}

std::string CpuConvolution::algorithms() const {
  if (!options_.training) return forward_.form.name();
  return fmt::format("{}, {}, {}", forward_.form.name(), options_.needs_dx ? data_.form.name() : "-",
                     weights_.name());
}

}  // namespace osprey
