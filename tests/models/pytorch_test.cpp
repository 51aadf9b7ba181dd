// Weights with PyTorch's names: which module fills which layer, and what is said where they do not fit.
#include "models/pytorch.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/file.h"
#include "core/npy.h"
#include "models/safetensors.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// A residual network in small: stem, a block that changes the shape, a block that does not, a classifier.
const std::string kBody =
    "[net]\nwidth=6\nheight=4\nchannels=2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation=relu\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
    "[route]\nlayers=-2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=relu\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\nactivation=linear\n"
    "[shortcut]\nfrom=-2\nactivation=relu\n";
const std::string kNetwork = kBody + "[connected]\noutput=5\nactivation=linear\n";

NamedArray array(const std::string& name, std::vector<int> shape) {
  int count = 1;
  for (int side : shape) count *= side;
  NamedArray a{name, std::move(shape), std::vector<float>(size_t(count))};
  Random random(std::hash<std::string>{}(a.name), Purpose::test);
  for (float& v : a.values) v = random.uniform(0.5f, 1.5f);
  return a;
}

void add_norm(std::vector<NamedArray>& arrays, const std::string& name, int channels) {
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    arrays.push_back(array(name + part, {channels}));
  arrays.push_back({name + ".num_batches_tracked", {}, {7}});
}

// In an order that says nothing.
std::vector<NamedArray> arrays_of_network() {
  std::vector<NamedArray> arrays = {array("fc.bias", {5}),
                                    array("layer2.0.conv1.weight", {4, 4, 1, 1}),
                                    array("fc.weight", {5, 4 * 4 * 6}),
                                    array("layer1.0.downsample.0.weight", {4, 3, 1, 1}),
                                    array("layer1.0.conv1.weight", {4, 3, 3, 3}),
                                    array("conv1.weight", {3, 2, 3, 3})};
  add_norm(arrays, "layer1.0.downsample.1", 4);
  add_norm(arrays, "layer2.0.bn1", 4);
  add_norm(arrays, "layer1.0.bn1", 4);
  add_norm(arrays, "bn1", 3);
  return arrays;
}

NamedArray& named(std::vector<NamedArray>& arrays, const std::string& name) {
  return *std::find_if(arrays.begin(), arrays.end(), [&](const NamedArray& a) { return a.name == name; });
}

View<float> value(const Network& network, const std::string& name) {
  for (const ParameterSpan& s : network.parameters().spans())
    if (s.name == name) return network.parameters().value(s);
  return {};
}

TEST(PyTorch, ModulesFillLayersInTheOrderOfTheirNames) {
  Network network = network_of(kNetwork, inference());
  network.plan(1, 6, 4);
  std::vector<NamedArray> arrays = arrays_of_network();
  EXPECT_EQ(take_named_arrays(network, arrays, "f"), 8);
  const std::pair<const char*, const char*> pairs[] = {{"0", "conv1 bn1"},
                                                       {"1", "layer1.0.conv1 layer1.0.bn1"},
                                                       {"3", "layer1.0.downsample.0 layer1.0.downsample.1"},
                                                       {"5", "layer2.0.conv1 layer2.0.bn1"}};
  for (const auto& [layer, modules] : pairs) {
    const std::string both = modules, convolution = both.substr(0, both.find(' ')),
                      norm = both.substr(both.find(' ') + 1);
    SCOPED_TRACE(both);
    const auto vector = [&](const char* ours, const char* theirs) {
      EXPECT_EQ(copy_of(value(network, std::string(layer) + ours)), named(arrays, norm + theirs).values);
    };
    vector(".scales", ".weight");
    vector(".biases", ".bias");
    vector(".rolling_mean", ".running_mean");
    vector(".rolling_variance", ".running_var");
    const NamedArray& weights = named(arrays, convolution + ".weight");  // out, in, h, w
    const View<float> ours = value(network, std::string(layer) + ".weights");
    const Shape s = ours.shape;
    for (int i = 0; i < s.elements(); ++i) {
      const auto [out, h, w, in] = s.pixel(i);
      ASSERT_EQ(ours[i], weights.values[size_t(((out * s.c + in) * s.h + h) * s.w + w)]);
    }
  }
  const View<float> connected = value(network, "7.weights");
  EXPECT_EQ(connected(2, 1, 3, 2), named(arrays, "fc.weight").values[2 * 96 + 2 * 24 + 1 * 6 + 3]);
  EXPECT_EQ(copy_of(value(network, "7.biases")), named(arrays, "fc.bias").values);
}

TEST(PyTorch, ABackboneReachesTheFirstLayerItDoesNotHave) {
  Network longer = network_of(kNetwork + "[connected]\noutput=2\n", inference());
  longer.plan(1, 6, 4);
  EXPECT_EQ(take_named_arrays(longer, arrays_of_network(), "f"), 8);
}

// As in "C4" networks, where the last stage works on RoIs.
TEST(PyTorch, LayersOfAnRpnWithinABackboneAreLeftOut) {
  Network network =
      network_of(kBody +
                     "[convolutional]\nname=o\nfilters=1\nactivation=linear\n"
                     "[convolutional]\nfrom=6\nname=d\nfilters=4\nactivation=linear\n"
                     "[rpn]\nname=r\nfrom=o,d\nanchor_sizes=4\nanchor_ratios=1\n"
                     "[roi_align]\nfrom=r,6\nsize=2\n[connected]\noutput=5\nactivation=linear\n",
                 inference());
  network.plan(1, 6, 4);
  network.parameters().initialise(3);
  const std::vector<float> before = copy_of(value(network, "7.weights"));
  std::vector<NamedArray> arrays = arrays_of_network();
  named(arrays, "fc.weight") = array("fc.weight", {5, 2 * 2 * 4});
  EXPECT_EQ(take_named_arrays(network, arrays, "t"), 12);
  EXPECT_EQ(copy_of(value(network, "11.biases")), named(arrays, "fc.bias").values);
  EXPECT_EQ(copy_of(value(network, "7.weights")), before);
  ASSERT_FALSE(before.empty());

  // An [rpn] that nothing follows is what the network is for, and its backbone is one.
  Network alone = network_of(kBody +
                                 "[convolutional]\nname=o\nfilters=1\nactivation=linear\n"
                                 "[convolutional]\nfrom=6\nname=d\nfilters=4\nactivation=linear\n"
                                 "[rpn]\nfrom=o,d\nanchor_sizes=4\nanchor_ratios=1\n",
                             inference());
  alone.plan(1, 6, 4);
  arrays.erase(std::remove_if(arrays.begin(), arrays.end(),
                              [](const NamedArray& a) { return a.name.starts_with("fc."); }),
               arrays.end());
  EXPECT_EQ(take_named_arrays(alone, arrays, "t"), 7);
}

// A convolution with a bias before batch norm, as in VGG with batch norm: the mean takes it in.
TEST(PyTorch, ABiasBeforeBatchNormMovesTheMean) {
  Network network = network_of(
      "[net]\nwidth=6\nheight=4\nchannels=2\n[convolutional]\nbatch_normalize=1\n"
      "filters=3\nsize=3\npad=1\nactivation=relu\n",
      inference());
  network.plan(1, 6, 4);
  std::vector<NamedArray> arrays = {array("features.0.weight", {3, 2, 3, 3}), array("features.0.bias", {3})};
  add_norm(arrays, "features.1", 3);
  take_named_arrays(network, arrays, "f");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(value(network, "0.rolling_mean")[i],
              named(arrays, "features.1.running_mean").values[size_t(i)] -
                  named(arrays, "features.0.bias").values[size_t(i)]);
}

std::string error(std::vector<NamedArray> arrays, const std::string& cfg = kNetwork) {
  return error_of([&] {
    Network network = network_of(cfg, inference());
    network.plan(1, 6, 4);
    take_named_arrays(network, arrays, "f.npz");
  });
}

TEST(PyTorch, ExplainsWhatDoesNotFit) {
  auto arrays = arrays_of_network();
  named(arrays, "layer1.0.conv1.weight") = array("layer1.0.conv1.weight", {4, 3, 1, 1});
  EXPECT_EQ(
      error(arrays),
      "f.npz: `layer1.0.conv1.weight` is 4x3x1x1, expected 4x3x3x3 for layer 1 [convolutional], t.cfg:11");
  EXPECT_EQ(error(arrays_of_network(), kBody),
            "f.npz: `fc` and what comes after it are more than the network has");
  arrays = arrays_of_network();
  named(arrays, "bn1.running_var").values[1] = NAN;
  expect_in("`bn1.running_var` holds values that are not finite", error(arrays));
  arrays = arrays_of_network();
  std::erase_if(arrays, [](const NamedArray& a) { return a.name.starts_with("bn1."); });
  expect_in("f.npz: `conv1` has no batch norm, but layer 0 [convolutional], t.cfg:5 has", error(arrays));
  arrays = arrays_of_network();
  std::erase_if(arrays, [](const NamedArray& a) { return a.name == "bn1.running_mean"; });
  expect_in("`conv1` has no batch norm", error(arrays));
  arrays = arrays_of_network();
  std::erase_if(arrays, [](const NamedArray& a) { return a.name == "bn1.bias"; });
  expect_in("f.npz: `bn1` has no bias", error(arrays));
  arrays = arrays_of_network();
  add_norm(arrays, "bn7", 3);
  expect_in("f.npz: has 5 batch norms, of which 1 belong to no convolution by their names", error(arrays));
  arrays = arrays_of_network();
  named(arrays, "layer1.0.conv1.weight").name =
      "layer1.0.99999999999.weight";  // there is no number after this
  expect_in("has no batch norm", error(arrays));
  arrays = arrays_of_network();
  arrays.push_back(array("scale.weight", {3}));
  expect_in("`scale` is no convolution, no fully connected layer and no batch norm", error(arrays));
  arrays = arrays_of_network();
  arrays.push_back(array("layer1.0.gamma", {3}));
  expect_in("`layer1.0.gamma` is no weight, bias, running_mean or running_var", error(arrays));
  EXPECT_EQ(error_of([] { read_named_arrays("x.pth"); }), "x.pth: expected a .safetensors or an .npz file");
}

TEST(PyTorch, ReadsSafetensors) {
  Temporary folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  SafeTensors file;
  file.tensors["conv.weight"] = {{3, 2}, values.data(), {}};
  write_safetensors(folder / "a.safetensors", file);
  const std::vector<NamedArray> arrays = read_named_arrays(folder / "a.safetensors");
  ASSERT_EQ(arrays.size(), 1u);
  EXPECT_EQ(arrays[0].name, "conv.weight");
  EXPECT_EQ(arrays[0].shape, (std::vector<int>{3, 2}));
  EXPECT_EQ(arrays[0].values, values);
}

// A ZIP archive of stored files, as numpy.savez writes it.
class Zip {
 public:
  void add(const std::string& name, const std::string& bytes, uint32_t method = 0) {
    const uint32_t at = uint32_t(files_.size());
    files_ += "PK\3\4" +
              numbers({{20, 2},
                       {0, 2},
                       {method, 2},
                       {0, 4},
                       {0, 4},
                       {uint32_t(bytes.size()), 4},
                       {uint32_t(bytes.size()), 4},
                       {uint32_t(name.size()), 2},
                       {3, 2}}) +
              name + "???" + bytes;
    contents_ += "PK\1\2" +
                 numbers({{20, 2},
                          {20, 2},
                          {0, 2},
                          {method, 2},
                          {0, 4},
                          {0, 4},
                          {uint32_t(bytes.size()), 4},
                          {uint32_t(bytes.size()), 4},
                          {uint32_t(name.size()), 2},
                          {0, 2},
                          {0, 2},
                          {0, 2},
                          {0, 2},
                          {0, 4},
                          {at, 4}}) +
                 name;
    ++count_;
  }
  std::string bytes() const {
    return files_ + contents_ + "PK\5\6" +
           numbers({{0, 2},
                    {0, 2},
                    {count_, 2},
                    {count_, 2},
                    {uint32_t(contents_.size()), 4},
                    {uint32_t(files_.size()), 4},
                    {0, 2}});
  }

 private:
  static std::string numbers(const std::vector<std::pair<uint32_t, int>>& values) {
    std::string bytes;
    for (auto [value, size] : values)
      for (int k = 0; k < size; ++k) bytes += char(value >> (8 * k));
    return bytes;
  }

  std::string files_, contents_;
  uint32_t count_ = 0;
};

TEST(PyTorch, ReadsNpz) {
  Temporary folder;
  const float values[] = {1, 2, 3, 4, 5, 6};
  write_npy(folder / "a.npy", values, {2, 3});
  write_npy(folder / "b.npy", values + 1, {1});
  const std::string a = read_file(folder / "a.npy", "a"), b = read_file(folder / "b.npy", "b");
  Zip zip;
  zip.add("z.weight.npy", a);
  zip.add("a.bias.npy", b);
  const auto arrays = read_named_arrays(folder.write("w.npz", zip.bytes()));
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_EQ(arrays[0].name, "z.weight");
  EXPECT_EQ(arrays[0].shape, (std::vector<int>{2, 3}));
  EXPECT_EQ(arrays[0].values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(arrays[1].values, (std::vector<float>{2}));

  const auto error_with = [&](const std::string& bytes) {
    const std::string path = folder.write("bad.npz", bytes);
    return error_of([&] { read_named_arrays(path); });
  };
  const std::string whole = zip.bytes();
  expect_in("is not an .npz file", error_with("hello"));
  for (size_t cut = 1; cut <= 22; ++cut)
    EXPECT_FALSE(error_with(whole.substr(0, whole.size() - cut)).empty());
  std::string damaged = whole;
  damaged[whole.size() - 6 + 1] = char(0x7F);  // the list of contents lies beyond the end
  expect_in("was cut short, or is damaged", error_with(damaged));
  Zip squeezed;
  squeezed.add("a.npy", a, 8);
  expect_in("`a.npy` is compressed: write the file with numpy.savez, not savez_compressed",
            error_with(squeezed.bytes()));
  // A small file that says to have many large arrays: all of them are one.
  Zip bomb;
  bomb.add("a.npy", a);
  const std::string once = bomb.bytes();
  const size_t list = once.find("PK\1\2"), end = once.find("PK\5\6");
  std::string thrice = once.substr(0, end) + once.substr(list, end - list) + once.substr(list);
  thrice[thrice.size() - 22 + 10] = 3;
  expect_in("`a.npy` lies where another array is", error_with(thrice));
  Zip other;
  other.add("a.npy", "no array");
  expect_in("bad.npz:a.npy: not a .npy file", error_with(other.bytes()));
}

}  // namespace
}  // namespace osprey
