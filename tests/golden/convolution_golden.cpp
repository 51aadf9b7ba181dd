// Convolution and its gradients against PyTorch, by all writings of it: the readable one, each algorithm of
// the CPU, and the emulated kernels.
#include "cuda/convolution.h"
#include "layers/convolution_cpu.h"
#include "tests/golden/golden.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

using golden::Case;
using golden::nchw;
using golden::nhwc;

Shape shape_of(const std::vector<int>& s) { return {s[0], s[2], s[3], s[1]}; }

// [h, w], or one number for both.
std::vector<int> pair(const Case& c, const char* key, int otherwise) {
  const auto found = c.params().find(key);
  if (found == c.params().end()) return {otherwise, otherwise};
  return found->is_array() ? found->get<std::vector<int>>()
                           : std::vector<int>{found->get<int>(), found->get<int>()};
}

struct Problem {
  Shape x_shape, y_shape, w_shape;
  Convolution convolution;
  Values x, w, b, dy;

  // Weights [filters, c, h, w] become [filters, h, w, c], as images do.
  explicit Problem(const Case& c)
      : x_shape(shape_of(c.shape("x"))),
        y_shape(shape_of(c.shape("y"))),
        w_shape(shape_of(c.shape("w"))),
        x(nhwc(c.array("x"))),
        w(nhwc(c.array("w"))),
        dy(nhwc(c.array("dy"))) {
    if (c.has("b")) b = c.floats("b");
    const auto stride = pair(c, "stride", 1), pad = pair(c, "pad", 0), dilation = pair(c, "dilation", 1);
    convolution.window = {{w_shape.h, stride[0], pad[0], 2 * pad[0], dilation[0]},
                          {w_shape.w, stride[1], pad[1], 2 * pad[1], dilation[1]}};
    convolution.groups = c.param("groups", 1);
  }
};

struct Results {
  Values y, dx, dw, db;
};

void expect_results(const Case& c, const char* writing, const Problem& p, const Results& r) {
  SCOPED_TRACE(writing);
  EXPECT_EQ(p.convolution.output(p.x_shape, p.y_shape.c), p.y_shape);
  auto images = [&](const char* array, const Values& values, Shape s) {
    c.expect(array, nchw(values, {s.n, s.h, s.w, s.c}));
  };
  images("y", r.y, p.y_shape);
  images("dx", r.dx, p.x_shape);
  images("dw", r.dw, p.w_shape);
  if (c.has("db")) c.expect("db", r.db);
}

View<float> view(Values& values, Shape shape) { return {values.data(), shape}; }

Results empty_results(const Problem& p) {
  return {Values(p.dy.size()), Values(p.x.size()), Values(p.w.size()), Values(size_t(p.y_shape.c))};
}

View<float> bias_of(Problem& p) { return p.b.empty() ? View<float>{} : view(p.b, {1, 1, 1, p.y_shape.c}); }

Results by_patches(Problem p) {
  Stream s;
  const Convolution& k = p.convolution;
  Values patches(size_t(k.patches(p.x_shape).elements()));
  const View<float> space = view(patches, k.patches(p.x_shape)), x = view(p.x, p.x_shape),
                    w = view(p.w, p.w_shape), dy = view(p.dy, p.y_shape);
  Results r = empty_results(p);
  cpu::convolution_forward(s, x, w, bias_of(p), view(r.y, p.y_shape), space, k);
  cpu::convolution_backward_data(s, dy, w, view(r.dx, p.x_shape), space, k);
  cpu::convolution_backward_weights(s, x, dy, view(r.dw, p.w_shape), space, k);
  cpu::bias_backward(s, dy, view(r.db, {1, 1, 1, p.y_shape.c}));
  return r;
}

Results by_kernels(Problem p) {
  Stream s;
  s.device = Device::cuda;
  const Convolution& k = p.convolution;
  const int sums = cuda::convolution_scratch(p.x_shape, p.y_shape.c, k);
  Values scratch(size_t(sums), NAN);
  const View<float> x = view(p.x, p.x_shape), w = view(p.w, p.w_shape), dy = view(p.dy, p.y_shape);
  Results r = empty_results(p);
  cuda::convolution_forward(s, x, w, {bias_of(p)}, view(r.y, p.y_shape), k);
  cuda::convolution_backward_data(s, dy, w, view(r.dx, p.x_shape), false, k);
  cuda::convolution_backward_weights(s, x, dy, view(r.dw, p.w_shape), view(scratch, {1, 1, 1, sums}), k);
  Values partial(size_t(bias_partial(p.y_shape).elements()));
  cuda::bias_backward(s, dy, view(r.db, {1, 1, 1, p.y_shape.c}), view(partial, bias_partial(p.y_shape)));
  return r;
}

Results on_cpu(Problem p, ConvolutionAlgorithm algorithm) {
  CpuConvolution::Options options;
  options.algorithm = algorithm;
  options.bias = !p.b.empty();
  CpuConvolution convolution(p.x_shape, p.y_shape, p.convolution, options);
  // oneDNN wants its memory at a multiple of 64 bytes; a vector gives 16.
  const auto aligned = [](Values& values, int size) {
    values.assign(size_t(size) + 16, 0);
    float* data = values.data();
    while (reinterpret_cast<uintptr_t>(data) % 64) ++data;
    return View<float>{data, {1, 1, 1, size}};
  };
  Values packed_memory, scratch_memory;
  const View<float> packed = aligned(packed_memory, convolution.packed_size());
  const View<float> scratch = aligned(scratch_memory, convolution.scratch_size());
  const View<float> x = view(p.x, p.x_shape), w = view(p.w, p.w_shape), dy = view(p.dy, p.y_shape);
  Results r = empty_results(p);
  convolution.pack(w.data, packed);
  convolution.forward(x, packed, {bias_of(p), {}, {}}, view(r.y, p.y_shape), scratch);
  convolution.backward_data(dy, w, view(r.dx, p.x_shape), false, scratch);
  convolution.backward_weights(x, dy, view(r.dw, p.w_shape), scratch);
  Stream s;
  cpu::bias_backward(s, dy, view(r.db, {1, 1, 1, p.y_shape.c}));
  return r;
}

GOLDEN(conv2d) {
  const Problem p(c);
  expect_results(c, "patches and GEMM", p, by_patches(p));
  for (int a = int(ConvolutionAlgorithm::onednn); a < int(std::size(kConvolutionAlgorithms)); ++a)
    if (OneDnnConvolution::built() || ConvolutionAlgorithm(a) != ConvolutionAlgorithm::onednn)
      expect_results(c, kConvolutionAlgorithms[a], p, on_cpu(p, ConvolutionAlgorithm(a)));
  expect_results(c, "emulated kernels", p, by_kernels(p));
}

// Weights [channels, filters / groups, h, w] are those of a convolution from y to x.
GOLDEN_ON_DEVICES(conv_transpose2d) {
  const auto w = c.shape("w");
  const Shape in = shape_of(c.shape("x")), out = shape_of(c.shape("y"));
  const std::string cfg =
      fmt::format("[deconvolutional]\nactivation=linear\nfilters={}\nsize={}\nstride={}\npadding={}\n", out.c,
                  w[2], c.param("stride", 1), c.param("pad", 0)) +
      fmt::format("output_pad={}\ngroups={}\n", c.param("output_pad", 0), c.param("groups", 1));
  SingleLayer layer(cfg, {in}, device);
  ASSERT_EQ(layer.output(), out);
  layer.parameter("weights") = nhwc(c.array("w"));
  if (c.has("b")) layer.parameter("biases") = c.floats("b");
  c.expect("y", nchw(layer.forward(nhwc(c.array("x"))), {out.n, out.h, out.w, out.c}));
  c.expect("dx", nchw(layer.gradient(nhwc(c.array("dy"))), {in.n, in.h, in.w, in.c}));
  c.expect("dw", nchw(layer.parameter_gradient("weights"), {w[0], w[2], w[3], w[1]}));
  if (c.has("db")) c.expect("db", layer.parameter_gradient("biases"));
}

}  // namespace
}  // namespace osprey
