#include "layers/convolution_onednn.h"

#include <dnnl.hpp>

#include <algorithm>
#include <limits>

#include "core/parallel.h"

namespace osprey {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

dnnl::engine& engine() {
  static dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  static dnnl::stream instance(engine());
  return instance;
}

memory::desc image(Shape s) { return {{s.n, s.c, s.h, s.w}, memory::data_type::f32, Tag::nhwc}; }

struct EltwiseForm {
  dnnl::algorithm algorithm;
  float alpha, beta;
};

bool eltwise_form(Activation a, EltwiseForm& form) {
  using dnnl::algorithm;
  switch (a) {
    case Activation::leaky:
    case Activation::revleaky:
      form = {algorithm::eltwise_relu, 0.1f, 0};
      return true;
    case Activation::relie:
      form = {algorithm::eltwise_relu, 0.01f, 0};
      return true;
    case Activation::relu:
      form = {algorithm::eltwise_relu, 0, 0};
      return true;
    case Activation::relu6:
      form = {algorithm::eltwise_clip, 0, 6};
      return true;
    case Activation::hardtan:
      form = {algorithm::eltwise_clip, -1, 1};
      return true;
    case Activation::logistic:
      form = {algorithm::eltwise_logistic, 0, 0};
      return true;
    case Activation::tanh:
      form = {algorithm::eltwise_tanh, 0, 0};
      return true;
    case Activation::elu:
      form = {algorithm::eltwise_elu, 1, 0};
      return true;
    case Activation::swish:
      form = {algorithm::eltwise_swish, 1, 0};
      return true;
    case Activation::mish:
      form = {algorithm::eltwise_mish, 0, 0};
      return true;
    case Activation::hardswish:
      form = {algorithm::eltwise_hardswish, 0, 0};
      return true;
    default:
      return false;
  }
}

void append(dnnl::post_ops& ops, Activation a) {
  EltwiseForm form;
  if (a != Activation::linear && eltwise_form(a, form))
    ops.append_eltwise(1.0f, form.algorithm, form.alpha, form.beta);
}

// Hands pieces of a caller's scratch memory to oneDNN, each aligned to a cache line.
class Scratch {
 public:
  explicit Scratch(View<float> v) : next_(v.data) {}
  memory take(const memory::desc& d) {
    memory m(d, engine(), next_);
    next_ += floats(d);
    return m;
  }
  static int64_t floats(const memory::desc& d) { return int64_t((d.get_size() + 63) / 64 * 16); }

 private:
  float* next_;
};

memory wrap(const memory::desc& d, const float* data) {
  return memory(d, engine(), const_cast<float*>(data));
}

}  // namespace

struct OneDnnConvolution::Primitives {
  memory::desc x, y, weights, bias, channels;  // as we keep them
  bool factors = false, residual = false;
  dnnl::convolution_forward::primitive_desc forward_desc;
  dnnl::convolution_backward_data::primitive_desc data_desc;
  dnnl::convolution_backward_weights::primitive_desc weights_desc;
  dnnl::convolution_forward forward;
  dnnl::convolution_backward_data data;
  dnnl::convolution_backward_weights gradient;
  int64_t scratch = 0;  // in floats

  void reorder(memory from, memory to) { dnnl::reorder(from, to).execute(stream(), from, to); }
};

bool OneDnnConvolution::built() { return true; }

bool OneDnnConvolution::folds(Activation a) {
  EltwiseForm form;
  return a == Activation::linear || eltwise_form(a, form);
}

OneDnnConvolution::OneDnnConvolution(Shape x, Shape y, Convolution c, Options o)
    : p_(std::make_unique<Primitives>()) {
  Primitives& p = *p_;
  const Window &h = c.window.h, &w = c.window.w;
  p.x = image(x);
  p.y = image(y);
  p.bias = {{y.c}, memory::data_type::f32, Tag::a};
  p.channels = {{1, y.c, 1, 1}, memory::data_type::f32, Tag::nhwc};
  p.factors = o.factors;
  p.residual = o.residual;
  const memory::dims dims = c.groups == 1
                                ? memory::dims{y.c, x.c, h.size, w.size}
                                : memory::dims{c.groups, y.c / c.groups, x.c / c.groups, h.size, w.size};
  p.weights = {dims, memory::data_type::f32, c.groups == 1 ? Tag::ohwi : Tag::gohwi};
  const memory::desc any(dims, memory::data_type::f32, Tag::any);
  const memory::dims strides{h.stride, w.stride}, dilation{h.dilation - 1, w.dilation - 1};
  const memory::dims before{h.before, w.before};
  // What lies after the image follows from the output's size; it can be negative where the last rows are
  // unused.
  const memory::dims after{(y.h - 1) * h.stride + h.reach() - x.h - h.before,
                           (y.w - 1) * w.stride + w.reach() - x.w - w.before};

  dnnl::primitive_attr attr, forward_attr;  // a copy would be the same object
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  forward_attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops ops;
  if (o.factors) {
    ops.append_binary(dnnl::algorithm::binary_mul, p.channels);
    ops.append_binary(dnnl::algorithm::binary_add, p.channels);
  }
  append(ops, o.activation);
  if (o.residual) {
    ops.append_binary(dnnl::algorithm::binary_add, p.y);
    append(ops, o.residual_activation);
  }
  forward_attr.set_post_ops(ops);

  const auto direct = dnnl::algorithm::convolution_direct;
  const auto kind = o.training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  p.forward_desc = {
      o.bias && !o.factors
          ? dnnl::convolution_forward::desc(kind, direct, p.x, any, p.bias, p.y, strides, dilation, before,
                                            after)
          : dnnl::convolution_forward::desc(kind, direct, p.x, any, p.y, strides, dilation, before, after),
      forward_attr, engine()};
  p.forward = dnnl::convolution_forward(p.forward_desc);
  p.scratch =
      Scratch::floats(p.forward_desc.scratchpad_desc()) + Scratch::floats(p.forward_desc.weights_desc());
  if (!o.training) return;

  p.weights_desc = {
      dnnl::convolution_backward_weights::desc(direct, p.x, any, p.y, strides, dilation, before, after), attr,
      engine(), p.forward_desc};
  p.gradient = dnnl::convolution_backward_weights(p.weights_desc);
  p.scratch = std::max(p.scratch, Scratch::floats(p.weights_desc.scratchpad_desc()) +
                                      Scratch::floats(p.weights_desc.diff_weights_desc()) +
                                      Scratch::floats(p.weights));
  if (!o.needs_dx) return;
  p.data_desc = {
      dnnl::convolution_backward_data::desc(direct, p.x, any, p.y, strides, dilation, before, after), attr,
      engine(), p.forward_desc};
  p.data = dnnl::convolution_backward_data(p.data_desc);
  p.scratch = std::max(p.scratch, Scratch::floats(p.data_desc.scratchpad_desc()) +
                                      Scratch::floats(p.data_desc.weights_desc()) + Scratch::floats(p.x));
}

OneDnnConvolution::~OneDnnConvolution() = default;

namespace {

// Too much to be had, which the plan refuses, where there are more.
int count_of(int64_t floats) { return int(std::min<int64_t>(floats, std::numeric_limits<int>::max())); }

}  // namespace

int OneDnnConvolution::packed_size() const {
  return count_of(Scratch::floats(p_->forward_desc.weights_desc()));
}
int OneDnnConvolution::scratch_size() const { return count_of(p_->scratch); }

void OneDnnConvolution::pack(View<const float> weights, View<float> packed) {
  p_->reorder(wrap(p_->weights, weights.data), wrap(p_->forward_desc.weights_desc(), packed.data));
}

void OneDnnConvolution::forward(View<const float> x, View<float> packed, const Epilogue& e, View<float> y,
                                View<float> scratch) {
  Scratch space(scratch);
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, wrap(p_->x, x.data)},
      {DNNL_ARG_WEIGHTS, wrap(p_->forward_desc.weights_desc(), packed.data)},
      {DNNL_ARG_DST, wrap(p_->y, y.data)},
      {DNNL_ARG_SCRATCHPAD, space.take(p_->forward_desc.scratchpad_desc())}};
  const auto operand = [&](int position, const memory::desc& desc, View<const float> values) {
    arguments.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1, wrap(desc, values.data)});
  };
  if (p_->factors) {
    operand(0, p_->channels, e.factors);
    operand(1, p_->channels, e.bias);
  } else if (e.bias) {
    arguments.insert({DNNL_ARG_BIAS, wrap(p_->bias, e.bias.data)});
  }
  if (p_->residual) {
    const int position =
        p_->forward_desc.get_primitive_attr().get_post_ops().kind(0) == dnnl::primitive::kind::binary ? 0 : 1;
    operand(position, p_->y, e.residual);
  }
  p_->forward.execute(stream(), arguments);
}

void OneDnnConvolution::backward_data(View<const float> dy, View<const float> weights, View<float> dx,
                                      bool add, View<float> scratch) {
  Scratch space(scratch);
  memory packed = space.take(p_->data_desc.weights_desc());
  p_->reorder(wrap(p_->weights, weights.data), packed);
  memory result = add ? space.take(p_->x) : wrap(p_->x, dx.data);
  p_->data.execute(stream(), {{DNNL_ARG_DIFF_DST, wrap(p_->y, dy.data)},
                              {DNNL_ARG_WEIGHTS, packed},
                              {DNNL_ARG_DIFF_SRC, result},
                              {DNNL_ARG_SCRATCHPAD, space.take(p_->data_desc.scratchpad_desc())}});
  if (!add) return;
  const float* sum = static_cast<const float*>(result.get_data_handle());
  parallel_for(dx.size(), 1 << 14, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) dx.data[i] += sum[i];
  });
}

void OneDnnConvolution::backward_weights(View<const float> x, View<const float> dy, View<float> dweights,
                                         View<float> scratch) {
  Scratch space(scratch);
  memory blocked = space.take(p_->weights_desc.diff_weights_desc());
  p_->gradient.execute(stream(), {{DNNL_ARG_SRC, wrap(p_->x, x.data)},
                                  {DNNL_ARG_DIFF_DST, wrap(p_->y, dy.data)},
                                  {DNNL_ARG_DIFF_WEIGHTS, blocked},
                                  {DNNL_ARG_SCRATCHPAD, space.take(p_->weights_desc.scratchpad_desc())}});
  Scratch after(scratch);
  after.take(p_->weights_desc.diff_weights_desc());
  memory plain = after.take(p_->weights);
  p_->reorder(blocked, plain);
  const float* sum = static_cast<const float*>(plain.get_data_handle());
  parallel_for(dweights.size(), 1 << 14, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) dweights.data[i] += sum[i];
  });
}

}  // namespace osprey
