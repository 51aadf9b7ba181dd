// osprey forward: what every layer computes for one input, as .npy files.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "apps/commands.h"
#include "apps/load.h"
#include "core/error.h"
#include "core/file.h"
#include "core/npy.h"
#include "data/image.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  std::string input, dump;
  std::vector<int> layers;
};

// [N,H,W,C] values: from a .npy file of floats, or from an image of exactly the network's size.
std::vector<float> read_input(const std::string& path, const NetSection& net, int& batch) {
  Array array;
  if (path.ends_with(".npy")) array = read_npy(path);
  if (const std::string& type = array.type; !type.empty() && type != "|u1" && type != "<u2") {
    const std::vector<int> want = {net.height, net.width, net.channels};
    std::vector<int> shape = array.shape;
    if (shape.size() == 3) shape.insert(shape.begin(), 1);
    if (shape.size() != 4 || std::vector<int>(shape.begin() + 1, shape.end()) != want || shape[0] < 1)
      fail("{}: its shape is ({}), expected (N,{},{},{}): images, height, width, channels", path,
           fmt::join(array.shape, ","), net.height, net.width, net.channels);
    batch = shape[0];
    return array.floats();
  }
  Image image = load_image(path, net.channels);
  if (image.width != net.width || image.height != net.height)
    fail("{}: is {}x{}, expected exactly the network's {}x{} (detect resizes, forward does not)", path,
         image.width, image.height, net.width, net.height);
  batch = 1;
  return std::move(image.pixels);
}

void run_forward(Arguments a) {
  a.load.keep_all = true;
  std::vector<Section> sections = read_cfg(a.load.cfg);
  const NetSection net = read_net_section(sections[0], a.load.lenient);
  const std::vector<float> values = read_input(a.input, net, a.load.batch);
  const auto network = load_network(a.load);
  if (network->takes_proposals())
    fail("{}: the network has [proposals], and forward has none to give it", a.load.cfg);
  const int layers = int(network->nodes().size());
  for (int i : a.layers)
    if (i < 0 || i >= layers) fail("--layers {}: the network has layers 0 to {}", i, layers - 1);

  const View<float> input = network->input();
  std::copy(values.begin(), values.end(), input.begin());
  network->forward();
  make_folder(a.dump);
  for (int i = 0; i < layers; ++i) {
    if (!a.layers.empty() && std::find(a.layers.begin(), a.layers.end(), i) == a.layers.end()) continue;
    const Shape shape = network->nodes()[size_t(i)].output;
    const std::vector<float> y = network->read(i);
    const std::string name = fmt::format("{:03}_{}.npy", i, network->nodes()[size_t(i)].type->name);
    write_npy((std::filesystem::path(a.dump) / name).string(), y.data(),
              {shape.n, shape.h, shape.w, shape.c});
  }
}

}  // namespace

void add_forward(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("forward", "Write what each layer computes for an input as .npy files");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command->add_option("--input", a->input, ".npy [N,H,W,C], or an image of exactly the network's size")
      ->required();
  command->add_option("--dump", a->dump, "folder for NNN_type.npy, float32 [N,H,W,C]")->required();
  command->add_option("--layers", a->layers, "only these layers")->delimiter(',');
  add_device_options(*command, a->load.device);
  command->add_flag("--lenient", a->load.lenient, "unknown keys are warnings, not errors");
  // To compare with engines that use another epsilon in batch norm (OpenCV: 1e-6). Not shown in the help.
  command->add_option("--batchnorm-epsilon", a->load.batchnorm_epsilon)->group("");
  command->callback([a] { run_forward(*a); });
}

}  // namespace osprey
