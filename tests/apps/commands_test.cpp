// What the sub-commands print and write, and that docs/cfg.md is what `osprey keys` says.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/file.h"
#include "core/npy.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

class Commands : public testing::Test {
 protected:
  Commands() {
    PlannedNetwork network(drawn_cfg(3));
    save_weights(weights_, network, {});
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 6), cfg_ = folder_.write("t.cfg", drawn_cfg(3)),
              weights_ = folder_ / "t.weights", image_ = folder_ / "images/0.png";
};

// The emulated kernels are in a program of their own, and nobody need know.
TEST_F(Commands, EmulatedKernelsFindWhatTheCpuFinds) {
  const auto boxes_by = [&](const std::string& device) {
    const std::string json = folder_ / device + ".json";
    const Said said = osprey_command(
        {"detect", cfg_, weights_, image_, "--thresh", "0.1", "--json", json, "--device", device});
    EXPECT_EQ(said.status, 0) << said.err;
    return nlohmann::json::parse(read_file(json, "JSON"))[0]["detections"].size();
  };
  const size_t found = boxes_by("cpu");
  EXPECT_GT(found, 0u);
  EXPECT_EQ(boxes_by("emulated"), found);
}

TEST_F(Commands, ExportTellsWhatTheFileTakesAndMakes) {
  const std::string model = folder_ / "t.onnx";
  Said said = osprey_command({"export", cfg_, weights_, model});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in("t.onnx: images [N,3,64,64] -> boxes [N,128,4] ", said.out);
  expect_in("scores [N,128,2], ", said.out);
  EXPECT_GT(std::filesystem::file_size(model), std::filesystem::file_size(weights_) / 2);
  said = osprey_command({"export", cfg_, weights_, model, "--batch", "2", "--raw"});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in("images [2,3,64,64] -> ", said.out);
  expect_in("-> 6_yolo [2,14,8,8], ", said.out);
  said = osprey_command({"export", cfg_, weights_, model, "--nms", "hard", "--thresh", "0.5"});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in("images [N,3,64,64] -> detections [D,7], ", said.out);
  expect_refused({"export", cfg_, weights_, folder_ / "t.pb"}, "expected a name that ends with .onnx");
}

TEST_F(Commands, DetectWritesJsonTextAndPictures) {
  const std::string json = folder_ / "found.json", second = folder_ / "images/1.png";
  const Said said =
      osprey_command({"detect", cfg_, weights_, image_, second, "--thresh", "0.1", "--names",
                      folder_ / "t.names", "--json", json, "--out", folder_ / "drawn", "--batch", "2"});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in(image_ + ": ", said.out);
  EXPECT_EQ(image_size(folder_ / "drawn/0.png"), std::pair(64, 64));
  EXPECT_EQ(image_size(folder_ / "drawn/1.png"), std::pair(64, 64));
  const nlohmann::json all = nlohmann::json::parse(read_file(json, "JSON"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["image"], image_);
  EXPECT_EQ(all[1]["image"], second);
  EXPECT_EQ(all[0]["width"], 64);
  EXPECT_EQ(all[0]["height"], 64);
  int found = 0;
  for (const nlohmann::json& image : all)
    for (const nlohmann::json& d : image["detections"]) {
      const int class_id = d["class_id"];
      EXPECT_EQ(d["name"], class_id == 0 ? "red" : "blue");
      EXPECT_GT(d["score"].get<float>(), 0.1f);
      EXPECT_LE(d["score"].get<float>(), 1.0f);
      const std::vector<float> box = d["box"];
      ASSERT_EQ(box.size(), 4u);
      EXPECT_LT(box[0], box[2]);
      EXPECT_LT(box[1], box[3]);
      ++found;
    }
  EXPECT_GT(found, 0);  // random weights find something at 0.1

  // The same images one by one, from a list, and from their folder.
  const std::string list = folder_.write("list.txt", image_ + "\n" + second + "\n"),
                    again = folder_ / "again.json";
  ASSERT_EQ(osprey_command({"detect", cfg_, weights_, list, "--thresh", "0.1", "--names", folder_ / "t.names",
                            "--json", again})
                .status,
            0);
  EXPECT_EQ(read_file(json, "JSON"), read_file(again, "JSON"));
  ASSERT_EQ(osprey_command({"detect", cfg_, weights_, folder_ / "images", "--json", again}).status, 0);
  EXPECT_EQ(nlohmann::json::parse(read_file(again, "JSON")).size(), 6u);
}

// Six channels of 16 bits in an array; the picture is of what eyes can see of it.
TEST_F(Commands, DetectReadsImagesOfManyChannels) {
  const std::string net = drawn_cfg(3, "channels=6\n"), cfg = folder_.write("six.cfg", net),
                    weights = folder_ / "six.weights", array = folder_ / "six.npy";
  PlannedNetwork network(net);
  save_weights(weights, network, {});
  save_array(array, rounded(Image(40, 30, 6, .3f), 2));
  const Said said =
      osprey_command({"detect", cfg, weights, array, "--thresh", "0.1", "--out", folder_ / "drawn"});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(load_image(folder_ / "drawn/six.jpg", 0).channels, 3);
  expect_refused({"detect", cfg, weights, image_},
                 image_ + ": the image has 3 channels, but the network takes 6 (channels=6 in [net])");
  expect_refused({"detect", cfg_, weights_, array}, "the image has 6 channels, but the network takes 3");
}

TEST_F(Commands, ClassifyAndEvalTellClasses) {
  const std::string net =
      "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[avgpool]\n["
      "softmax]\n";
  const std::string cfg = folder_.write("c.cfg", net), weights = folder_ / "c.weights",
                    json = folder_ / "classes.json";
  PlannedNetwork network(net);
  save_weights(weights, network, {});
  folder_.write("labels", "0\n1\n2\n");
  const std::string data = folder_.write("c.data", "root=.\nlabels=labels\nvalid=images\ntop=2\n");
  const Said said = osprey_command(
      {"classify", cfg, weights, image_, folder_ / "images", "--data", data, "--top", "2", "--json", json});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in(image_ + ":\n", said.out);
  const nlohmann::json all = nlohmann::json::parse(read_file(json, "JSON"));
  ASSERT_EQ(all.size(), 7u);
  for (const nlohmann::json& image : all) {
    const nlohmann::json& classes = image["classes"];
    ASSERT_EQ(classes.size(), 2u);
    EXPECT_GE(classes[0]["score"], classes[1]["score"]);
    EXPECT_EQ(classes[0]["name"], std::to_string(classes[0]["class_id"].get<int>()));
  }
  EXPECT_EQ(all[0]["classes"], all[1]["classes"]);  // the first of the folder is that image
  // Three of the six images are called 0, 1 and 2; the others have no class.
  const Said measured = osprey_command({"eval", cfg, data, weights, "--json"});
  ASSERT_EQ(measured.status, 0) << measured.err;
  const nlohmann::json accuracy = nlohmann::json::parse(measured.out);
  EXPECT_EQ(accuracy["images"], 3);
  EXPECT_EQ(accuracy["k"], 2);
  EXPECT_GE(accuracy["top_k"], accuracy["top1"]);
  expect_in("3 images were left out", measured.err);
  expect_in("top-1 ", osprey_command({"eval", cfg, data, weights}).out);
  expect_refused({"eval", cfg, data, weights, "--metric", "coco"}, "a classifier has one, top-1");
  expect_refused({"classify", cfg_, weights_, image_}, "the network detects");
}

TEST_F(Commands, ForwardDumpsEveryLayer) {
  const std::string dump = folder_ / "dump";
  ASSERT_EQ(osprey_command({"forward", cfg_, weights_, "--input", image_, "--dump", dump}).status, 0);
  NetworkOptions options = inference();
  options.keep_all = true;
  Network network(read_cfg(cfg_), options);
  network.plan(1, 64, 64);
  load_weights(weights_, network, Coverage::whole);
  network.prepare();
  const Image image = load_image(image_);
  std::copy(image.pixels.begin(), image.pixels.end(), network.input().view<float>().begin());
  network.forward();
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    const Array array = read_npy(dump + "/" + fmt::format("{:03}_{}.npy", i, node.type->name));
    const Shape s = node.output;
    EXPECT_EQ(array.shape, (std::vector<int>{1, s.h, s.w, s.c}));
    EXPECT_EQ(array.floats(), copy_of(node.layer->y)) << node.type->name;
  }
  // The readable convolution gives the same up to rounding, and only the layers that were asked for.
  const std::string plain = folder_ / "plain";
  ASSERT_EQ(osprey_command({"forward", cfg_, weights_, "--input", image_, "--dump", plain, "--convolution",
                            "reference", "--layers", "2,5"})
                .status,
            0);
  EXPECT_FALSE(std::filesystem::exists(plain + "/003_convolutional.npy"));
  const std::vector<float> a = read_npy(dump + "/005_convolutional.npy").floats(),
                           b = read_npy(plain + "/005_convolutional.npy").floats();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4f);
}

TEST_F(Commands, SummaryTellsLayersParametersAndMemory) {
  const Said said = osprey_command({"summary", cfg_, "--memory"});
  ASSERT_EQ(said.status, 0) << said.err;
  // 8 x 3 x 9 + 4 x 8, 16 x 8 x 9 + 4 x 16, 32 x 16 x 9 + 4 x 32, 32 x 32 x 9 + 4 x 32, 14 x 32 + 14
  expect_in("parameters 15,830 (with statistics 16,006: 64044 bytes as .weights)", said.out);
  for (const char* part : {"0 convolutional", "4 shortcut", "6 yolo", "8 x   8 x  14", "Memory, detection",
                           "Memory, training,", "output of 0"})
    expect_in(part, said.out);
  expect_in("gradient of 5", osprey_command({"summary", cfg_, "--memory", "--training"}).out);
  expect_in("0.2 parameters with gradients and momentum,", said.out);
  const std::string adamw = folder_.write("adamw.cfg", drawn_cfg(3, "optimizer=adamw\n"));
  expect_in("parameters with gradients, momentum and mean squares,", osprey_command({"summary", adamw}).out);
}

TEST_F(Commands, SummaryTellsHowConvolutionsAreComputed) {
  const auto told = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"summary", cfg_, "--algorithms"});
    return osprey_command(more).out;
  };
  expect_in("direct\n", told({"--convolution", "direct"}));
  expect_in("winograd2\n", told({"--convolution", "winograd2"}));
  expect_in("winograd2, winograd2, winograd2\n", told({"--convolution", "winograd2", "--training"}));
}

TEST_F(Commands, KeysExplainsEverySection) {
  const Said sections = osprey_command({"keys"});
  ASSERT_EQ(sections.status, 0);
  for (const LayerType* type : layer_types()) {
    expect_in(std::string(" ") + type->name, sections.out);
    const Said said = osprey_command({"keys", type->name});
    EXPECT_EQ(said.status, 0);
    expect_in(std::string("[") + type->name + "]", said.out);
    expect_in("stopbackward", said.out);
  }
  expect_in("learning_rate", osprey_command({"keys", "net"}).out);
}

TEST_F(Commands, KeysOfAFileAreToldWithTheirValues) {
  const std::string cfg = folder_.write("k.cfg",
                                        "[net]\nwidth=64\nheight=64\nmax_epochs=3\n[convolutional]\nfilters="
                                        "8\nstride=2\nname=stem\nfitlers=9\n");
  const Said said = osprey_command({"keys", cfg});
  EXPECT_EQ(said.status, 0) << said.err;
  const auto line = [&](const std::string& start) {
    for (const std::string& l : lines_of(said.out))
      if (l.starts_with(start)) return l;
    ADD_FAILURE() << start << " is not in " << said.out;
    return std::string();
  };
  expect_in(":5: layer 0, [convolutional]\n", said.out);
  expect_in(" line 6 ", line("  filters                8 "));
  expect_in("(default: 1)", line("  filters "));
  expect_in(" default ", line("  size                   1 "));
  expect_in(" default ", line("  activation             logistic "));
  expect_in(" line 8 ", line("  name                   stem "));
  expect_in(" line 4 ", line("  max_epochs             3 "));
  EXPECT_EQ(said.out.find("share_index"), std::string::npos);
  EXPECT_EQ(said.out.find("try_fix_nan"), std::string::npos);
  EXPECT_EQ(said.out.find("xnor"), std::string::npos);
  expect_in("(required)", line("  width                  64 "));
  expect_in(":9: [convolutional] unknown key `fitlers`, did you mean `filters`?", said.err);
  expect_refused({"keys", folder_.write("b.cfg", "[net]\nwidth=64\nheight=64\n[maxpol]\n")},
                 "b.cfg:4: [maxpol] there is no such section");
}

TEST(Documentation, OfCfgFilesIsWhatTheLayersSay) {
  const Said said = osprey_command({"keys", "--markdown"});
  ASSERT_EQ(said.status, 0);
  EXPECT_EQ(read_file(OSPREY_SOURCE_DIR "/docs/cfg.md", "the manual"), said.out)
      << "run: osprey keys --markdown > docs/cfg.md";
}

// A training that is killed, or stopped, in the middle goes on from its last checkpoint to the very same
// weights.
class Interrupted : public Commands {
 protected:
  static constexpr int kIterations = 120;

  std::vector<std::string> train(const std::string& out) {
    return {"train",        folder_.write("long.cfg", drawn_cfg(kIterations)),
            data_,          "--out",
            folder_ / out,  "--no-map",
            "--save-every", "10",
            "--threads",    "1"};
  }
  std::string uninterrupted() {
    const Said said = osprey_command(train("whole"));
    EXPECT_EQ(said.status, 0) << said.err;
    return read_file(folder_ / "whole/long_final.weights", "weights");
  }
  // Starts a training and sends it a signal once it has a checkpoint.
  int stopped_by(int signal, const std::string& out) {
    const pid_t process = start_osprey(train(out), folder_ / "out", folder_ / "err");
    const std::string checkpoint = folder_ / (out + "/long_checkpoint.safetensors");
    for (int ms = 0; ms < 60000 && !std::filesystem::exists(checkpoint); ++ms)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(std::filesystem::exists(checkpoint)) << read_file(folder_ / "err", "output");
    ::kill(process, signal);
    return wait_for(process);
  }
  std::string resumed(const std::string& out) {
    EXPECT_FALSE(std::filesystem::exists(folder_ / (out + "/long_final.weights")))
        << "it ended before the signal";
    std::vector<std::string> arguments = train(out);
    arguments.push_back("--resume");
    const Said said = osprey_command(arguments);
    EXPECT_EQ(said.status, 0) << said.err;
    expect_in("going on after iteration", said.err);
    return read_file(folder_ / (out + "/long_final.weights"), "weights");
  }
};

TEST_F(Interrupted, ByAKillItResumesToTheSameWeights) {
  EXPECT_EQ(stopped_by(SIGKILL, "killed"), 128 + SIGKILL);
  EXPECT_TRUE(resumed("killed") == uninterrupted());
}

TEST_F(Interrupted, ByCtrlCItSavesAndResumesToTheSameWeights) {
  EXPECT_EQ(stopped_by(SIGINT, "stopped"), 0);
  expect_in("saved; --resume goes on from here", read_file(folder_ / "err", "output"));
  EXPECT_TRUE(resumed("stopped") == uninterrupted());
}

TEST_F(Commands, ReportIsAPage) {
  const std::string page = folder_ / "page.html";
  ASSERT_EQ(osprey_command({"train", cfg_, data_, "--out", folder_ / "run", "--no-map"}).status, 0);
  const std::string checkpoint = folder_ / "run/t_checkpoint.safetensors";
  const Said said =
      osprey_command({"report", cfg_, data_, weights_, "--out", page, "--checkpoint", checkpoint});
  ASSERT_EQ(said.status, 0) << said.err;
  const std::string html = read_file(page, "HTML");
  for (const char* part : {"<h2>Curves</h2>", "<h2>Classes</h2>", "<td>red</td>", "3 of 3"})
    expect_in(part, html);
  expect_refused({"report", cfg_, data_, weights_, "--out", page, "--checkpoint", weights_}, weights_);
}

TEST_F(Commands, TilesAreADataSet) {
  const Said said = osprey_command({"tile", data_, folder_ / "tiles", "--size", "32", "--overlap", "0"});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in("valid: 24 tiles of 6 images", said.err);
  const Said trained = osprey_command({"train", cfg_, folder_ / "tiles/tiles.data", "--out", folder_ / "run",
                                       "--max-batches", "1", "--no-map"});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(image_size(folder_ / "tiles/valid/0_32_0.png"), std::pair(32, 32));
}

}  // namespace
}  // namespace osprey
