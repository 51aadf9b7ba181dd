// Small networks with feature pyramids, as .cfg text, forward and backward, against PyTorch.
//
// A network of ours has one input and one loss, the cases have several of both. The feature maps of a pyramid
// lie on one canvas, each in channels of its own and at every so-manieth pixel, from which convolutions with
// strides and weights of 0 and 1 take them. The outputs are brought to one size and joined before [cost],
// whose targets are set so that its gradient is the case's.
#include <algorithm>
#include <array>
#include <map>

#include "cuda/runtime.h"
#include "models/network.h"
#include "tests/golden/golden.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

using golden::Case;
using golden::nchw;
using golden::nhwc;

Shape shape_of(const Case& c, const std::string& array) {
  const std::vector<int> s = c.shape(array);
  return {s.at(0), s.at(2), s.at(3), s.at(1)};
}

struct Level {
  std::string name;  // of the layer
  Values gradient;   // [N,H,W,C]
};

class TestedNetwork {
 public:
  TestedNetwork(const Case& c, const std::string& cfg, Shape input, Device device)
      : case_(c), network_(parse_cfg(cfg, "golden.cfg"), options(c, device)) {
    network_.plan(input.n, input.w, input.h);
    network_.parameters().initialise(1);
  }

  void set(const std::string& layer, const std::string& parameter, const Values& values) {
    const View<float> to = network_.parameters().value(span(layer, parameter));
    EXPECT_EQ(size_t(to.size()), values.size()) << layer << "." << parameter;
    std::copy(values.begin(), values.end(), to.begin());
  }
  void set_from_case(const std::string& layer, const std::string& parameter, const std::string& array) {
    set(layer, parameter, nhwc(case_.array(array)));
  }
  // A filter for each of the channels `first` .. `first` + filters - 1 of the input, which passes through.
  void select(const std::string& layer, int filters, int channels, int first) {
    Values weights(size_t(filters) * channels);
    for (int f = 0; f < filters; ++f) weights[size_t(f) * channels + first + f] = 1;
    set(layer, "weights", weights);
  }

  void forward(const Values& input) {
    network_.parameters().upload();
    const View<float> x = network_.input();
    ASSERT_EQ(size_t(x.size()), input.size());
    std::copy(input.begin(), input.end(), x.begin());
    network_.forward();
    network_.wait();
  }

  Values read(const std::string& layer) { return network_.read(index(layer)); }

  // With the outputs' gradients, which the last layers bring to the size of the first output.
  void backward(const std::vector<Level>& levels) {
    const Shape canvas = network_.nodes().back().output;
    const Values y = network_.read(int(network_.nodes().size()) - 1);
    Values targets = y;
    int channel = 0;
    for (const Level& level : levels) {
      const Shape s = network_.nodes()[size_t(index(level.name))].output;
      for (int i = 0; i < s.elements(); ++i) {
        const auto [n, h, w, k] = s.pixel(i);
        // The first pixel of the canvas that shows this one.
        const int row = (h * canvas.h + s.h - 1) / s.h, column = (w * canvas.w + s.w - 1) / s.w;
        targets[size_t(canvas.index(n, row, column, channel + k))] -= level.gradient.at(size_t(i));
      }
      channel += s.c;
    }
    EXPECT_EQ(channel, canvas.c);
    std::copy(targets.begin(), targets.end(), network_.targets().begin());
    network_.parameters().zero_gradients();
    network_.forward();
    network_.backward();
    network_.wait();
    network_.parameters().download_gradients();
  }

  // The gradient of a [route]'s output, which uncleared_gradients leaves there.
  Values gradient_of_output(const std::string& route) {
    const Tensor dy = network_.nodes()[size_t(index(route))].layer->dy;
    Values values(size_t(dy.size()));
    if (network_.device() == Device::cpu) {
      const View<const float> from = dy;
      values.assign(from.begin(), from.end());
    } else {
      cuda::copy(network_.stream(), values.data(), dy.data, dy.bytes());
      network_.wait();
    }
    return values;
  }

  void expect_output(const std::string& array, const std::string& layer) {
    expect_images(array, read(layer));
  }
  void expect_images(const std::string& array, const Values& values) {
    const Shape s = shape_of(case_, array);
    case_.expect(array, nchw(values, {s.n, s.h, s.w, s.c}));
  }
  void expect_gradient(const std::string& array, const std::string& layer, const std::string& parameter) {
    const ParameterSpan& s = span(layer, parameter);
    const View<float> g = network_.parameters().gradient(s);
    const Values values(g.begin(), g.end());
    case_.expect(array, nchw(values, s.info.order == FileOrder::convolution
                                         ? std::vector<int>{s.shape.n, s.shape.h, s.shape.w, s.shape.c}
                                         : std::vector<int>{s.shape.c}));
  }

 private:
  static NetworkOptions options(const Case& c, Device device) {
    NetworkOptions options;
    options.build.device = device;
    options.build.batchnorm_epsilon = c.param("bn_eps", 1e-5f);
    options.keep_all = true;
    options.uncleared_gradients = true;
    return options;
  }

  int index(const std::string& layer) const {
    for (size_t i = 0; i < network_.nodes().size(); ++i)
      if (network_.nodes()[i].name == layer) return int(i);
    fail("no layer is named {}", layer);
  }
  const ParameterSpan& span(const std::string& layer, const std::string& parameter) const {
    const int i = index(layer);
    for (const ParameterSpan& s : network_.parameters().spans())
      if (s.layer == i && s.info.name == parameter) return s;
    fail("{} has no {}", layer, parameter);
  }

  const Case& case_;
  Network network_;
};

std::string net_section(Shape s) {
  return fmt::format("[net]\nbatch={}\nwidth={}\nheight={}\nchannels={}\n", s.n, s.w, s.h, s.c);
}

std::string convolution(const std::string& name, const std::string& from, int filters,
                        const std::string& keys = "size=1\n") {
  return fmt::format("[convolutional]\nname={}\nfrom={}\nfilters={}\nactivation=linear\n{}", name, from,
                     filters, keys);
}

// The coarser level at the size of the finer, added to it.
std::string add_above(const std::string& above, const std::string& lateral, const std::string& name) {
  return fmt::format("[upsample]\nfrom={0},{1}\n[shortcut]\nname={2}\nfrom={1}\nactivation=linear\n", above,
                     lateral, name);
}

std::string join(const std::vector<std::string>& levels) {
  std::string cfg, names;
  for (const std::string& level : levels) {
    cfg += fmt::format("[upsample]\nname=shown_{0}\nfrom={0},{1}\n", level, levels[0]);
    names += (names.empty() ? "" : ",") + ("shown_" + level);
  }
  return cfg + "[route]\nlayers=" + names + "\n[cost]\n";
}

// How far apart the pixels of a level lie on the canvas.
int step(int canvas, int level) {
  for (int step = 1; step <= canvas; ++step)
    if ((canvas - 1) / step + 1 == level) return step;
  fail("{} pixels cannot be taken from {} at equal distances", level, canvas);
}

struct Pyramid {
  std::vector<Shape> inputs;
  Shape canvas;
  int filters;
  bool maxpool, from_last_output;
  std::vector<std::string> outputs;

  explicit Pyramid(const Case& c) : filters(c.params().at("out_channels")) {
    for (size_t i = 0; i < c.params().at("in_channels").size(); ++i)
      inputs.push_back(shape_of(c, fmt::format("c{}", i)));
    canvas = inputs[0];
    for (size_t i = 1; i < inputs.size(); ++i) canvas.c += inputs[i].c;
    const std::string extra = c.param("extra", std::string());
    maxpool = extra == "maxpool";
    from_last_output = inputs.back().c == filters;  // torchvision's LastLevelP6P7
    const size_t levels = inputs.size() + (maxpool ? 1 : extra == "p6p7" ? 2 : 0);
    for (size_t i = 0; i < levels; ++i) outputs.push_back(fmt::format("y{}", i));
  }

  std::string cfg() const {
    std::string text = net_section(canvas) + convolution("canvas", "-1", canvas.c);
    for (size_t i = 0; i < inputs.size(); ++i)
      text += convolution(fmt::format("take{}", i), "canvas", inputs[i].c,
                          fmt::format("size=1\nstride_x={}\nstride_y={}\n", step(canvas.w, inputs[i].w),
                                      step(canvas.h, inputs[i].h))) +
              fmt::format("[route]\nlayers=-1\nname=c{}\n", i);
    for (size_t i = 0; i < inputs.size(); ++i)
      text += convolution(fmt::format("lateral{}", i), fmt::format("c{}", i), filters);
    std::string above = fmt::format("lateral{}", inputs.size() - 1);
    std::vector<std::string> sums(inputs.size(), above);
    for (int i = int(inputs.size()) - 2; i >= 0; --i) {
      sums[size_t(i)] = fmt::format("sum{}", i);
      text += add_above(above, fmt::format("lateral{}", i), sums[size_t(i)]);
      above = sums[size_t(i)];
    }
    for (size_t i = 0; i < inputs.size(); ++i)
      text += convolution(outputs[i], sums[i], filters, "size=3\npad=1\n");
    const size_t last = inputs.size() - 1;
    if (maxpool) {
      text +=
          fmt::format("[maxpool]\nname={}\nfrom={}\nsize=1\nstride=2\n", outputs[last + 1], outputs[last]);
    } else if (outputs.size() > inputs.size()) {
      const std::string keys = "size=3\nstride=2\npad=1\n";
      text += convolution(outputs[last + 1], from_last_output ? outputs[last] : fmt::format("c{}", last),
                          filters, keys) +
              "[activation]\nactivation=relu\n" + convolution(outputs[last + 2], "-1", filters, keys);
    }
    return text + join(outputs);
  }

  Values input(const Case& c) const {
    Values values(size_t(canvas.elements()));
    int channel = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Values map = nhwc(c.array(fmt::format("c{}", i)));
      const int rows = step(canvas.h, inputs[i].h), columns = step(canvas.w, inputs[i].w);
      for (size_t k = 0; k < map.size(); ++k) {
        const auto [n, h, w, ch] = inputs[i].pixel(int(k));
        values[size_t(canvas.index(n, h * rows, w * columns, channel + ch))] = map[k];
      }
      channel += inputs[i].c;
    }
    return values;
  }
};

GOLDEN_ON_DEVICES(fpn) {
  const Pyramid p(c);
  SCOPED_TRACE(p.cfg());
  TestedNetwork t(c, p.cfg(), p.canvas, device);
  t.select("canvas", p.canvas.c, p.canvas.c, 0);
  std::vector<std::pair<std::string, std::string>> layers;  // ours, and the case's
  int channel = 0;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    t.select(fmt::format("take{}", i), p.inputs[i].c, p.canvas.c, channel);
    channel += p.inputs[i].c;
    layers.push_back({fmt::format("lateral{}", i), fmt::format("inner_blocks_{}_0_", i)});
    layers.push_back({p.outputs[i], fmt::format("layer_blocks_{}_0_", i)});
  }
  if (p.outputs.size() == p.inputs.size() + 2) {
    layers.push_back({p.outputs[p.inputs.size()], "extra_blocks_p6_"});
    layers.push_back({p.outputs[p.inputs.size() + 1], "extra_blocks_p7_"});
  }
  for (const auto& [ours, array] : layers) {
    t.set_from_case(ours, "weights", array + "weight");
    t.set_from_case(ours, "biases", array + "bias");
  }
  t.forward(p.input(c));
  std::vector<Level> levels;
  for (size_t i = 0; i < p.outputs.size(); ++i) {
    t.expect_output(p.outputs[i], p.outputs[i]);
    levels.push_back({p.outputs[i], nhwc(c.array(fmt::format("dy{}", i)))});
  }
  t.backward(levels);
  for (const auto& [ours, array] : layers) {
    t.expect_gradient("d_" + array + "weight", ours, "weights");
    t.expect_gradient("d_" + array + "bias", ours, "biases");
  }
  for (size_t i = 0; i < p.inputs.size(); ++i)
    t.expect_images(fmt::format("d_c{}", i), t.gradient_of_output(fmt::format("c{}", i)));
}

// Three convolutions with batch norm, and a pyramid of two levels over the last two.
GOLDEN_ON_DEVICES(net) {
  ASSERT_FLOAT_EQ(c.param("leaky", 0.1f), 0.1f);  // Darknet's, which has no key
  const std::vector<int> strides = c.params().at("strides");
  const Shape in = shape_of(c, "x");
  const int filters = c.shape("lat1_w").at(0), kernel = c.param("kernel", 3), pad = c.param("pad", 1);
  std::string cfg = net_section(in) + convolution("pass", "-1", in.c) + "[route]\nlayers=-1\nname=x\n";
  for (int i = 0; i < 3; ++i)
    cfg += fmt::format(
        "[convolutional]\nname=c{}\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npadding={}\n"
        "activation=leaky\n",
        i + 1, c.shape(fmt::format("w{}", i)).at(0), kernel, strides.at(size_t(i)), pad);
  cfg += convolution("lat1", "c2", filters) + convolution("lat2", "c3", filters) +
         add_above("lat2", "lat1", "sum") + convolution("p1", "sum", filters, "size=3\npad=1\n") +
         convolution("p2", "lat2", filters, "size=3\npad=1\n") + join({"p1", "p2"});
  SCOPED_TRACE(cfg);
  TestedNetwork t(c, cfg, in, device);
  t.select("pass", in.c, in.c, 0);
  std::vector<std::array<std::string, 3>> parameters;  // layer, its parameter, the case's array
  for (int i = 0; i < 3; ++i)
    for (const auto& [ours, array] :
         std::map<std::string, std::string>{{"weights", "w"}, {"scales", "g"}, {"biases", "b"}})
      parameters.push_back({fmt::format("c{}", i + 1), ours, array + std::to_string(i)});
  for (const auto& [ours, array] : std::map<std::string, std::string>{
           {"lat1", "lat1"}, {"lat2", "lat2"}, {"p1", "out1"}, {"p2", "out2"}}) {
    parameters.push_back({ours, "weights", array + "_w"});
    parameters.push_back({ours, "biases", array + "_b"});
  }
  for (const auto& [layer, parameter, array] : parameters) t.set_from_case(layer, parameter, array);
  t.forward(nhwc(c.array("x")));
  for (const char* name : {"c1", "c2", "c3", "p1", "p2"}) t.expect_output(name, name);

  // 0.5 mean((p1 - t1)^2) + mean smooth_l1(p2 - t2, beta = 1)
  Level p1{"p1", t.read("p1")}, p2{"p2", t.read("p2")};
  const Values t1 = nhwc(c.array("t1")), t2 = nhwc(c.array("t2"));
  double loss = 0;
  for (size_t i = 0; i < t1.size(); ++i) {
    const double d = p1.gradient[i] - t1[i], n = double(t1.size());
    loss += 0.5 * d * d / n;
    p1.gradient[i] = float(d / n);
  }
  for (size_t i = 0; i < t2.size(); ++i) {
    const double d = p2.gradient[i] - t2[i], n = double(t2.size()), size = std::abs(d);
    loss += (size < 1 ? 0.5 * d * d : size - 0.5) / n;
    p2.gradient[i] = float(std::clamp(d, -1.0, 1.0) / n);
  }
  c.expect("loss", std::vector<double>{loss});
  t.backward({p1, p2});
  for (const auto& [layer, parameter, array] : parameters) t.expect_gradient("d_" + array, layer, parameter);
  t.expect_images("dx", t.gradient_of_output("x"));
}

}  // namespace
}  // namespace osprey
