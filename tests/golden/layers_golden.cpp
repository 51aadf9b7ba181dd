// The plain layers, forward and backward, against PyTorch. The emulated device's memory is the host's, so
// that its kernels can be called with what the tests hold.
#include <algorithm>

#include "cuda/avgpool.h"
#include "cuda/batchnorm.h"
#include "cuda/maxpool.h"
#include "cuda/upsample.h"
#include "tests/golden/golden.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

using golden::Case;
using golden::nchw;
using golden::nhwc;

// The shape of an array of images [N,C,H,W], of rows [N,C], or of a vector [C].
Shape shape_of(const std::vector<int>& s) {
  if (s.size() == 4) return {s[0], s[2], s[3], s[1]};
  return s.size() == 2 ? Shape{s[0], 1, 1, s[1]} : Shape{1, 1, 1, s.at(0)};
}
Shape shape_of(const Case& c, const char* array) { return shape_of(c.shape(array)); }

View<float> view(Values& values, Shape shape) { return {values.data(), shape}; }

void expect_images(const Case& c, const char* array, const Values& values) {
  const Shape s = shape_of(c, array);
  c.expect(array, nchw(values, {s.n, s.h, s.w, s.c}));
}

// One layer with one input, from x and dy to y and dx.
void check_layer(const Case& c, const std::string& cfg, Device device) {
  SCOPED_TRACE(cfg);
  SingleLayer layer(cfg, {shape_of(c, "x")}, device);
  expect_images(c, "y", layer.forward(nhwc(c.array("x"))));
  if (c.has("dy")) expect_images(c, "dx", layer.gradient(nhwc(c.array("dy"))));
}

GOLDEN_ON_DEVICES(activation) {
  std::string kind = c.params().at("kind");
  if (kind == "gelu_tanh") kind = "gelu";
  if (kind == "silu") kind = "swish";
  if (kind == "sigmoid") kind = "logistic";
  check_layer(c, "[activation]\nactivation=" + kind, device);
}

// A number, or a list of one for each axis: [h, w].
std::vector<int> of_both_axes(const Case& c, const std::string& key, int otherwise) {
  const auto found = c.params().find(key);
  if (found == c.params().end() || found->is_null()) return {otherwise, otherwise};
  if (found->is_array()) return found->get<std::vector<int>>();
  return {found->get<int>(), found->get<int>()};
}

// PyTorch pads both sides alike; in ceil mode a last, incomplete window may hang over the edge, which is a
// window of ours with more padding after the image. The array of y says how many outputs there are.
Window window_of(int size, int stride, int pad, int inputs, int outputs) {
  return {size, stride, pad, (outputs - 1) * stride + size - inputs, 1};
}

GOLDEN_ON_DEVICES(maxpool2d) {
  const Shape in = shape_of(c, "x"), out = shape_of(c, "y");
  const auto size = of_both_axes(c, "k", 1), stride = of_both_axes(c, "stride", size[0]),
             pad = of_both_axes(c, "pad", 0);
  const Window2 window{window_of(size[0], stride[0], pad[0], in.h, out.h),
                       window_of(size[1], stride[1], pad[1], in.w, out.w)};
  Values x = nhwc(c.array("x")), y(out.size()), dy = nhwc(c.array("dy")), dx(in.size());
  std::vector<int> winner(out.size());
  Stream s{device};
  on(s, cpu::maxpool_forward, cuda::maxpool_forward)(s, view(x, in), view(y, out),
                                                     View<int>(winner.data(), out), window);
  expect_images(c, "y", y);
  on(s, cpu::maxpool_backward, cuda::maxpool_backward)(s, view(dy, out), View<const int>(winner.data(), out),
                                                       view(dx, in), window);
  expect_images(c, "dx", dx);
  if (!c.has("argmax")) return;
  std::vector<int> places;  // in the plane of a channel, in the order n, c, h, w
  for (int n = 0; n < out.n; ++n)
    for (int ch = 0; ch < out.c; ++ch)
      for (int h = 0; h < out.h; ++h)
        for (int w = 0; w < out.w; ++w)
          places.push_back(winner[out.index(n, h, w, ch)] / in.c - n * in.h * in.w);
  c.expect("argmax", places);
}

// Largest window first, then the input itself, as Darknet's `route -1,-3,-5,-6` joins them.
GOLDEN_ON_DEVICES(spp_block) {
  std::vector<int> sizes = c.params().at("kernels");
  std::sort(sizes.rbegin(), sizes.rend());
  const Shape in = shape_of(c, "x"), out = shape_of(c, "y");
  const Values x = nhwc(c.array("x")), dy = nhwc(c.array("dy"));
  std::vector<Values> parts;
  std::vector<std::unique_ptr<SingleLayer>> pools;
  for (int size : sizes) {
    pools.push_back(std::make_unique<SingleLayer>(fmt::format("[maxpool]\nsize={}\nstride=1", size),
                                                  std::vector<Shape>{in}, device));
    parts.push_back(pools.back()->forward(x));
  }
  parts.push_back(x);
  std::string names = "-1";
  for (size_t k = 1; k < parts.size(); ++k) names += ",0";
  SingleLayer route("[route]\nlayers=" + names, std::vector<Shape>(parts.size(), in), device);
  EXPECT_EQ(route.output(), out);
  expect_images(c, "y", route.forward(parts));
  std::vector<Values> gradients = route.backward(dy);
  Values dx = gradients.back();
  for (size_t k = 0; k < pools.size(); ++k) dx = pools[k]->backward(gradients[k], {dx})[0];
  expect_images(c, "dx", dx);
}

GOLDEN_ON_DEVICES(global_avgpool) { check_layer(c, "[avgpool]", device); }

GOLDEN_ON_DEVICES(softmax) { check_layer(c, "[softmax]\nnoloss=1", device); }

GOLDEN_ON_DEVICES(l2norm) {
  SingleLayer layer(
      fmt::format("[l2norm]\nscale={}\neps={}", c.param("init_scale", 20.0), c.param("eps", 1e-10)),
      {shape_of(c, "x")}, device);
  if (c.has("gamma")) layer.parameter("scales") = c.floats("gamma");
  expect_images(c, "y", layer.forward(nhwc(c.array("x"))));
  expect_images(c, "dx", layer.gradient(nhwc(c.array("dy"))));
  if (c.has("dgamma")) c.expect("dgamma", layer.parameter_gradient("scales"));
}

GOLDEN_ON_DEVICES(group_norm) {
  SingleLayer layer(
      fmt::format("[group_norm]\ngroups={}\neps={}", c.param("groups", 1), c.param("eps", 1e-5)),
      {shape_of(c, "x")}, device);
  if (c.has("gamma")) layer.parameter("scales") = c.floats("gamma");
  if (c.has("beta")) layer.parameter("biases") = c.floats("beta");
  expect_images(c, "y", layer.forward(nhwc(c.array("x"))));
  expect_images(c, "dx", layer.gradient(nhwc(c.array("dy"))));
  if (c.has("dgamma")) c.expect("dgamma", layer.parameter_gradient("scales"));
  if (c.has("dbeta")) c.expect("dbeta", layer.parameter_gradient("biases"));
}

GOLDEN_ON_DEVICES(space_to_depth) {
  check_layer(c, fmt::format("[reorg3d]\nstride={}", c.param("stride", 2)), device);
}

GOLDEN_ON_DEVICES(upsample_nearest) {
  const Shape in = shape_of(c, "x"), out = shape_of(c, "y");
  Values x = nhwc(c.array("x")), y(out.size()), dy = nhwc(c.array("dy")), dx(in.size());
  Stream s{device};
  on(s, cpu::upsample_forward, cuda::upsample_forward)(s, view(x, in), view(y, out), 1);
  expect_images(c, "y", y);
  on(s, cpu::upsample_backward, cuda::upsample_backward)(s, view(dy, out), view(dx, in), 1);
  expect_images(c, "dx", dx);
}

GOLDEN_ON_DEVICES(upsample_bilinear) {
  const Shape in = shape_of(c, "x"), out = shape_of(c, "y");
  const bool align_corners = c.param("align_corners", false);
  Values x = nhwc(c.array("x")), y(out.size()), dy = nhwc(c.array("dy")), dx(in.size());
  Stream s{device};
  on(s, cpu::bilinear_forward, cuda::bilinear_forward)(s, view(x, in), view(y, out), 1, align_corners);
  expect_images(c, "y", y);
  on(s, cpu::bilinear_backward, cuda::bilinear_backward)(s, view(dy, out), view(dx, in), 1, align_corners);
  expect_images(c, "dx", dx);
}

GOLDEN_ON_DEVICES(avgpool2d) {
  const Shape in = shape_of(c, "x"), out = shape_of(c, "y");
  const auto size = of_both_axes(c, "k", 1), pad = of_both_axes(c, "pad", 0);
  const auto stride = c.params().contains("stride") ? of_both_axes(c, "stride", 1) : size;
  const bool round_up = c.param("ceil_mode", false);
  const Averaging averaging{{averaging_window(in.h, size[0], stride[0], pad[0], round_up),
                             averaging_window(in.w, size[1], stride[1], pad[1], round_up)},
                            c.param("count_include_pad", true)};
  ASSERT_EQ(averaging.window.h.outputs(in.h), out.h);
  ASSERT_EQ(averaging.window.w.outputs(in.w), out.w);
  Values x = nhwc(c.array("x")), y(out.size()), dy = nhwc(c.array("dy")), dx(in.size());
  Stream s{device};
  on(s, cpu::avgpool_windows_forward, cuda::avgpool_windows_forward)(s, view(x, in), view(y, out), averaging);
  expect_images(c, "y", y);
  on(s, cpu::avgpool_windows_backward, cuda::avgpool_windows_backward)(s, view(dy, out), view(dx, in),
                                                                       averaging);
  expect_images(c, "dx", dx);
}

GOLDEN_ON_DEVICES(linear) {
  const Shape in = shape_of(c, "x");
  SingleLayer layer(fmt::format("[connected]\nactivation=linear\noutput={}", c.shape("w").at(0)), {in},
                    device);
  const auto set = [&](const char* name, const Values& values) { layer.parameter(name) = values; };  // a copy
  set("weights", c.floats("w"));
  if (c.has("b")) set("biases", c.floats("b"));
  c.expect("y", layer.forward(c.floats("x")));
  c.expect("dx", layer.gradient(c.floats("dy")));
  c.expect("dw", layer.parameter_gradient("weights"));
  if (c.has("db")) c.expect("db", layer.parameter_gradient("biases"));
}

GOLDEN_ON_DEVICES(batch_norm) {
  const Shape in = shape_of(c, "x"), channels{1, 1, 1, in.c};
  Values x = nhwc(c.array("x")), dy = nhwc(c.array("dy")), y(x.size()), dx(x.size());
  Values scale = c.floats("gamma"), bias = c.floats("beta");
  Values mean = c.floats("running_mean"), variance = c.floats("running_var");
  Values batch_mean(in.c), inverse(in.c), dscale(in.c), dbias(in.c);
  Values partial(batchnorm_partial(in).elements());
  BatchNorm b;
  b.scale = view(scale, channels);
  b.bias = view(bias, channels);
  b.rolling_mean = view(mean, channels);
  b.rolling_variance = view(variance, channels);
  b.mean = view(batch_mean, channels);
  b.inverse_deviation = view(inverse, channels);
  b.scale_gradient = view(dscale, channels);
  b.bias_gradient = view(dbias, channels);
  b.partial = view(partial, batchnorm_partial(in));
  b.epsilon = c.param("eps", 1e-5f);
  b.momentum = c.param("momentum", 0.1f);
  b.frozen = !c.param("training", true);
  Stream s{device};
  on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, view(x, in), view(y, in), b);
  expect_images(c, "y", y);
  on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, view(x, in), view(dy, in), view(dx, in), b);
  expect_images(c, "dx", dx);
  c.expect("dgamma", dscale);
  c.expect("dbeta", dbias);
  if (b.frozen) return;
  c.expect("batch_mean", batch_mean);
  std::vector<double> biased;
  for (float i : inverse) biased.push_back(1 / (double(i) * i) - b.epsilon);
  c.expect("batch_var_biased", biased);
  c.expect("running_mean_after", mean);
  c.expect("running_var_after", variance);
}

}  // namespace
}  // namespace osprey
