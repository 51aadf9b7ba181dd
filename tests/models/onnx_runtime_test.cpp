// What is exported to ONNX, run by ONNX Runtime (check_onnx.py beside this file) and compared layer by layer.
// OSPREY_PYTHON names a Python that has ONNX Runtime; python3 if it is not set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>

#include "core/file.h"
#include "core/npy.h"
#include "models/onnx_export.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// Boxes as corners [N,1,K,4] and scores [N,1,K,classes], of all heads one after another, as decode() lists
// them.
void write_detections(const std::string& folder, const Network& network) {
  const int images = network.input().shape.n;
  std::vector<float> boxes, scores;
  int count = 0, classes = 0;
  for (int n = 0; n < images; ++n)
    for (const Head* head : network.heads()) {
      Candidates found;
      head->decode(head->y, n, -std::numeric_limits<float>::max(), found);
      classes = found.classes;
      count += found.count();
      for (const CentreBox& box : found.boxes) {
        const Box b = corners(box);
        boxes.insert(boxes.end(), {b.x1, b.y1, b.x2, b.y2});
      }
      scores.insert(scores.end(), found.probabilities.begin(), found.probabilities.end());
    }
  write_npy(folder + "/boxes.npy", boxes.data(), {images, 1, count / images, 4});
  write_npy(folder + "/scores.npy", scores.data(), {images, 1, count / images, classes});
}

// [D,7]: image, class, score and corners of what NMS leaves, class by class, the surest first.
std::vector<float> suppressed_rows(const Network& network, const DetectorSettings& settings) {
  std::vector<HeadOutput> outputs;
  for (const Head* head : network.heads()) outputs.push_back({head, head->y});
  std::vector<float> rows;
  const Shape in = network.input().shape;
  for (int n = 0; n < in.n; ++n) {
    std::vector<Detection> found = detections(outputs, n, settings, {{0, 0, 1, 1}, 1, 1}, in);
    std::stable_sort(found.begin(), found.end(),
                     [](const Detection& a, const Detection& b) { return a.class_id < b.class_id; });
    for (const Detection& d : found)
      rows.insert(rows.end(), {float(n), float(d.class_id), d.score, d.box.x1, d.box.y1, d.box.x2, d.box.y2});
  }
  return rows;
}

void write_suppressed(const std::string& folder, const Network& network, DetectorSettings settings) {
  const std::vector<float> rows = suppressed_rows(network, settings);
  write_npy(folder + "/detections.npy", rows.data(), {1, 1, int(rows.size() / 7), 7});
  if (*settings.nms_threshold == 0) return;
  settings.nms_threshold = 0;
  EXPECT_LT(rows.size(), suppressed_rows(network, settings).size()) << "there were no duplicates";
}

// What check_onnx.py compares: the model, the images, and what each of its values must be.
void write_case(const std::string& folder, Network& network, OnnxOptions options) {
  make_folder(folder);
  fill_randomly(network.input(), 5);
  network.prepare();
  const Shape in = network.input().shape;
  const View<const float> images = network.input();
  write_npy(folder + "/images.npy", images.data, {in.n, in.h, in.w, in.c});
  const onnx::Model model = to_onnx(network, options);
  onnx::write_model(folder + "/model.onnx", model);
  network.forward();

  std::set<std::string> made;
  for (const onnx::Node& node : model.nodes) made.insert(node.outputs.begin(), node.outputs.end());
  const auto write = [&](const std::string& name, int layer) {
    const Shape s = network.nodes()[size_t(layer)].output;
    write_npy(folder + "/" + name + ".npy", network.read(layer).data(), {s.n, s.h, s.w, s.c});
  };
  const int layers = int(network.nodes().size());
  for (int i = 0; i < layers; ++i) {
    const Node& node = network.nodes()[size_t(i)];
    const std::string name = fmt::format("{}_{}", i, node.type->name);
    if (made.count(name)) write(name, node.layer->head() ? node.inputs[0] : i);
  }
  for (const std::string name : {"probabilities", "output"})
    if (made.count(name)) write(name, layers - 1);
  if (made.count("boxes")) write_detections(folder, network);
  if (made.count("detections") && options.suppressed) write_suppressed(folder, network, *options.suppressed);
}

void write_case(const std::string& folder, const std::vector<Section>& sections, int width = 0,
                int height = 0, OnnxOptions options = {}) {
  Network network(sections, all_kept());
  network.plan(2, width ? width : network.net().width, height ? height : network.net().height);
  randomise(network.parameters(), 7);
  write_case(folder, network, options);
}

class OnnxRuntime : public ::testing::Test {
 protected:
  void TearDown() override {
    if (layers_) run();
  }

  void layer(const std::string& name, const std::string& sections, OnnxOptions options = {}) {
    const std::string cfg =
        "[net]\nwidth=14\nheight=10\nchannels=4\nmean=.4,.5,.6,.7\ndeviation=.2,.3,.4,.5\n" + sections;
    SCOPED_TRACE(cfg);
    ASSERT_NO_THROW(write_case(folder_ / name, parse_cfg(cfg, "t.cfg"), 0, 0, options));
    layers_ = true;
  }
  // One at a time: their files are large.
  void network(const std::string& name, int width, int height) {
    write_case(folder_ / name, read_cfg(OSPREY_SOURCE_DIR "/cfg/" + name + ".cfg"), width, height);
    run();
    std::filesystem::remove_all(folder_ / name);
  }

  // In parts of the largest value of a layer. Both sum in fp32, each in its own order; sums of a thousand
  // terms differ by some 1e-6, and a hundred layers pass that on. The worst seen is told in the output.
  float tolerance_ = 1e-5f;

 private:
  void run() {
    const char* chosen = std::getenv("OSPREY_PYTHON");
    const std::string command =
        fmt::format("{} {}/tests/models/check_onnx.py {} {}", chosen ? chosen : "python3", OSPREY_SOURCE_DIR,
                    folder_ / "", tolerance_);
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }

  Temporary folder_;
  bool layers_ = false;
};

const std::string kFirst = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=linear\n";

TEST_F(OnnxRuntime, Activations) {
  for (const char* name : kLayerActivations.names)
    layer(name, fmt::format("{}[upsample]\nstride=1\nscale=8\n[activation]\nactivation={}\n", kFirst, name));
}

TEST_F(OnnxRuntime, Convolutions) {
  layer("strides",
        "[convolutional]\nfilters=6\nsize=3\nstride_x=2\nstride_y=3\npad=1\nbatch_normalize=1\nactivation="
        "mish\n");
  layer("groups", "[convolutional]\nfilters=8\nsize=5\ngroups=2\npad=1\nactivation=leaky\n");
  layer("depthwise",
        "[convolutional]\nfilters=4\nsize=3\ngroups=4\npad=1\nbatch_normalize=1\nactivation=relu6\n");
  layer("dilation", "[convolutional]\nfilters=3\nsize=3\ndilation=2\npad=1\nactivation=swish\n");
  layer("even", "[convolutional]\nfilters=3\nsize=4\nstride=2\npadding=1\nactivation=logistic\n");
  layer("channels", "[convolutional]\nfilters=6\nsize=1\nactivation=normalize_channels_softmax\n");
  layer("blurred", "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nantialiasing=1\nactivation=leaky\n");
  layer("blurred2",
        "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nantialiasing=2\nactivation=leaky\n");
  layer("shared", kFirst +
                      "[convolutional]\nname=a\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
                      "[convolutional]\nshare=a\nfilters=8\nsize=3\npad=1\nactivation=leaky\n");
  layer("deconvolution",
        kFirst +
            "[deconvolutional]\nfilters=6\nsize=4\nstride=3\npadding=1\noutput_pad=2\ngroups=2\n"
            "activation=leaky\n[deconvolutional]\nfilters=3\nsize=3\nstride=2\npad=1\n"
            "batch_normalize=1\nactivation=relu\n");
  layer("local", kFirst +
                     "[local]\nfilters=3\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
                     "[local]\nfilters=2\nsize=2\nactivation=linear\n");
  layer("connected", kFirst +
                         "[connected]\noutput=9\nbatch_normalize=1\nactivation=leaky\n"
                         "[connected]\noutput=5\nactivation=tanh\n[softmax]\n");
  layer("normalised", "[convolutional]\nfilters=3\n[batchnorm]\n");
}

TEST_F(OnnxRuntime, Normalisations) {
  layer("batchnorm", kFirst + "[batchnorm]\n");
  layer("group_norm", kFirst + "[group_norm]\ngroups=4\nactivation=relu\n");
  layer("normalization",
        kFirst + "[normalization]\nsize=5\nalpha=0.1\n[normalization]\nsize=4\nalpha=0.2\nkappa=2\n");
  layer("l2norm", kFirst + "[l2norm]\n[l2norm]\nscale=20\n");
  layer("softmax", kFirst + "[softmax]\nspatial=1\n[softmax]\ngroups=2\ntemperature=2\n");
  layer("scale", kFirst + "[scale]\ninit=3\n[dropout]\n[empty]\n[logistic]\n");
}

TEST_F(OnnxRuntime, Pools) {
  layer("halves", "[maxpool]\nsize=2\nstride=2\n");
  layer("same_size", "[maxpool]\nsize=2\nstride=1\n");
  layer("wide",
        "[maxpool]\nsize=5\nstride=1\n[maxpool]\nsize=3\nstride=2\npadding=1\n[maxpool]\nsize=3\nstride_x="
        "2\nstride_y=1\n");
  layer("blurred", "[maxpool]\nsize=2\nstride=2\nantialiasing=1\n");
  layer("depth", kFirst + "[maxpool]\nmaxpool_depth=1\nout_channels=4\n");
  layer("local_avgpool", "[local_avgpool]\nsize=2\nstride=2\n[local_avgpool]\nsize=3\nstride=1\n");
  layer("avgpool", kFirst + "[avgpool]\n");
  layer("windows",
        "[avgpool]\nsize=3\nstride=2\npadding=1\nceil=1\n[avgpool]\nsize=3\nstride=2\npadding=1\ncount_"
        "padding=0\n");
  layer("overhang",
        "[avgpool]\nsize=3\nstride=2\nceil=1\n[avgpool]\nsize=2\nstride=2\nceil=1\ncount_padding=0\n");
}

TEST_F(OnnxRuntime, Rearrangements) {
  layer("reorg", kFirst + "[reorg]\nstride=2\n[reorg]\nstride=2\nreverse=1\n");
  layer("reorg_flatten", kFirst + "[reorg]\nflatten=1\n[reorg]\nflatten=1\nreverse=1\n[reorg]\nextra=3\n");
  layer("reorg3d", kFirst + "[reorg3d]\nstride=2\n[reorg3d]\nstride=2\nreverse=1\n");
  layer("routes",
        kFirst + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n[route]\nlayers=-1,0\n[route]\nlayers=0\n");
  layer("upsample", kFirst + "[upsample]\nstride=2\nscale=0.5\n[upsample]\nstride=-4\n");
  layer("upsample_to",
        kFirst +
            "[maxpool]\nsize=3\nstride=3\n[upsample]\nfrom=-1,0\n[upsample]\nfrom=1,0\nmode=bilinear\n"
            "[upsample]\nfrom=1,0\nmode=bilinear\nalign_corners=1\n");
  layer("crop", "[crop]\ncrop_height=7\ncrop_width=9\n[crop]\ncrop_height=5\ncrop_width=5\nnoadjust=1\n");
}

TEST_F(OnnxRuntime, Sums) {
  const std::string second = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n";
  layer("shortcut", kFirst + second + "[shortcut]\nfrom=-2\nactivation=leaky\n");
  layer("scaled", kFirst + second + "[shortcut]\nfrom=-2\nalpha=0.5\nbeta=2\n");
  layer("fewer", kFirst +
                     "[convolutional]\nfilters=5\n[shortcut]\nfrom=-2\n[shortcut]\nfrom=0\n[convolutional]"
                     "\nfilters=9\n[shortcut]\nfrom=0\n");
  layer("smaller",
        kFirst + "[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n[upsample]\n[shortcut]\nfrom=1\n");
  for (const char* type : {"per_feature", "per_channel"})
    for (const char* how : {"none", "relu", "softmax"})
      layer(fmt::format("{}_{}", type, how),
            fmt::format("{0}{1}[shortcut]\nfrom=-2,-3\nweights_type={2}\nweights_normalization={3}\n",
                        kFirst + second, second, type, how));
  layer("gates", kFirst +
                     "[avgpool]\n[convolutional]\nfilters=8\nactivation=logistic\n[scale_channels]\nfrom=0\n"
                     "[convolutional]\nfilters=1\n[scale_channels]\nfrom=0\nscale_wh=1\nactivation=relu\n"
                     "[sam]\nfrom=0\nactivation=leaky\n");
  layer("implicit", kFirst +
                        "[implicit]\nname=i\nfilters=8\n[scale_channels]\nfrom=0\n[implicit]\nfilters=8\n["
                        "route]\nlayers=-1,-3\n");
}

TEST_F(OnnxRuntime, Heads) {
  const auto head = [](int filters, const std::string& section) {
    return fmt::format("[convolutional]\nfilters={}\nsize=3\nstride=2\npad=1\nactivation=linear\n{}", filters,
                       section);
  };
  const std::string anchors = "anchors=4,6, 7,3, 9,9\nnum=3\nmask=0,2\n";
  const std::string yolo = "[yolo]\nclasses=3\nscale_x_y=1.2\n" + anchors;
  layer("yolo", head(16, yolo));
  layer("two_heads", head(16, yolo) + "[route]\nlayers=-2\n" + head(16, yolo));
  layer("raw", head(16, yolo) + "[route]\nlayers=-2\n" + head(16, yolo), {onnx::kAnyBatch, true, {}});
  layer("fixed_batch", head(16, yolo), {2, false, {}});
  layer("new_coords", head(16, "[yolo]\nnew_coords=1\nclasses=3\nscale_x_y=2\n" + anchors));
  const auto suppressed = [&](const std::string& name, float threshold, float overlap) {
    DetectorSettings settings{threshold, overlap, NmsKind::standard};
    layer(name, head(16, yolo) + "[route]\nlayers=-2\n" + head(16, yolo), {onnx::kAnyBatch, false, settings});
  };
  suppressed("suppressed", 0.25f, 0.3f);
  suppressed("suppressed_more", 0.3f, 0.1f);
  suppressed("all_stay", 0.3f, 0);
  for (const char* point : {"center", "left_top", "right_bottom"})
    layer(std::string("gaussian_") + point,
          head(24, fmt::format("[Gaussian_yolo]\nclasses=3\nyolo_point={}\n{}", point, anchors)));
  layer("region", head(16, "[region]\nsoftmax=1\nclasses=3\nnum=2\nanchors=1,2, 2,1\n"));
  layer("region_plain", head(16, "[region]\nclasses=3\nnum=2\nanchors=1,2, 2,1\nclassfix=-1\n"));
  layer("region_background",
        head(16, "[region]\nsoftmax=1\nbackground=1\nclasses=3\nnum=2\nanchors=1,2, 2,1\n"));
  layer("detection",
        "[connected]\noutput=117\nactivation=linear\n[detection]\nside=3\nnum=2\nclasses=3\nsqrt=1\nsoftmax="
        "1\n");
  layer("detection_plain",
        "[connected]\noutput=117\nactivation=linear\n[detection]\nside=3\nnum=2\nclasses=3\n");
}

TEST_F(OnnxRuntime, Detectors) {
  tolerance_ = 1e-3f;
  for (const char* name : {"yolov2", "yolov3-tiny", "yolov4-tiny", "yolov4", "yolov4-csp", "yolov7-tiny",
                           "gaussian-yolov3", "yolov1-tiny", "enet-coco"})
    network(name, 96, 64);
}

TEST_F(OnnxRuntime, Classifiers) {
  tolerance_ = 1e-3f;
  for (const char* name : {"resnet18", "resnet50", "darknet19", "densenet201"}) network(name, 64, 96);
}

}  // namespace
}  // namespace osprey
