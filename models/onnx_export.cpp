#include "models/onnx_export.h"

#include <filesystem>

#include "layers/onnx_graph.h"

namespace osprey {
namespace {

class Export {
 public:
  Export(const Network& network, const OnnxOptions& options)
      : network_(network), options_(options), g_(options.batch, network.input().shape) {}

  onnx::Model model() {
    g_.model().name = std::filesystem::path(network_.nodes()[0].section.file).stem().string();
    const std::string images = normalised_images();
    for (size_t i = 0; i < network_.nodes().size(); ++i) values_.push_back(layer(int(i), images));
    if (options_.suppressed && boxes_.empty())
      fail("{}: --nms is for networks that detect", network_.nodes()[0].section.file);
    if (!boxes_.empty())
      detections();
    else if (g_.model().outputs.empty())
      last_layer();
    return std::move(g_.model());
  }

 private:
  std::string normalised_images() {
    const NetSection& net = network_.net();
    if (!net.normalisation.on) return "images";
    g_.begin("net", network_.nodes()[0].section, {"images"});
    const int64_t channels = net.channels;
    const auto each = [&](const char* what, const float* values) {
      return g_.constant(what, {1, channels, 1, 1}, {values, values + channels});
    };
    const std::string centred = g_.add("Sub", {"images", each("mean", net.normalisation.mean)});
    return g_.add("Div", {centred, each("deviation", net.normalisation.deviation)});
  }

  // The value that a layer makes; of a head none: nothing may read it.
  std::string layer(int index, const std::string& images) {
    const Node& node = network_.nodes()[size_t(index)];
    const std::string name = fmt::format("{}_{}", index, node.type->name);
    OnnxGraph::Names inputs;
    for (const int from : node.inputs) {
      inputs.push_back(from == kInput ? images : values_[size_t(from)]);
      if (inputs.back().empty())
        refuse(node, fmt::format("it reads {}, which is exported as detections", network_.where(from)));
    }
    g_.begin(name, node.section, std::move(inputs));
    if (const auto* operators = dynamic_cast<const OnnxLayer*>(node.layer.get()))
      return g_.finish(operators->to_onnx(g_));
    const auto* head = dynamic_cast<const OnnxHead*>(node.layer.get());
    if (!head) refuse(node, "no operators of ONNX are known for it here");
    if (options_.raw) {
      const Shape in = node.layer->x().shape;
      g_.output(name, g_.x(), {options_.batch, in.c, in.h, in.w});
    } else {
      const int classes = node.layer->head()->classes();
      if (!scores_.empty() && classes != classes_)
        refuse(node, fmt::format("it has {} classes, and the head before {}", classes, classes_));
      classes_ = classes;
      const OnnxHead::Detections found = head->detections_to_onnx(g_);
      boxes_.push_back(found.boxes);
      scores_.push_back(found.scores);
      count_ += found.count;
    }
    return "";
  }

  // Corners are what most programs go on with; NonMaxSuppression of ONNX takes them as they are.
  void detections() {
    g_.begin("detections", network_.nodes()[0].section, {});
    const std::string all = g_.concatenated(boxes_, 1);
    const std::string centre = g_.slice(all, 2, 0, 2), half = g_.scaled(g_.slice(all, 2, 2, 4), 0.5f);
    const std::string corners =
        g_.concatenated({g_.add("Sub", {centre, half}), g_.add("Add", {centre, half})}, 2);
    const std::string scores = g_.concatenated(scores_, 1);
    if (options_.suppressed) return suppressed(corners, scores, *options_.suppressed);
    g_.output("boxes", corners, {options_.batch, count_, 4});
    g_.output("scores", scores, {options_.batch, count_, classes_});
    g_.model().metadata = {{"boxes", "x1, y1, x2, y2 in parts of the width and height of `images`"},
                           {"scores", "objectness times the probability of each class"}};
  }

  // NonMaxSuppression lists the image, the class and the box of what it leaves.
  void suppressed(const std::string& corners, const std::string& scores, DetectorSettings settings) {
    settings.nms = NmsKind::standard;
    const float overlap = nms_settings(*network_.heads().back(), settings).threshold_or_usual();
    const auto limit = [&](const char* what, float value) { return g_.constant(what, {1}, {value}); };
    const std::string left =
        g_.add("NonMaxSuppression",
               {corners, g_.transposed(scores, {0, 2, 1}), g_.integers({count_}),
                limit("iou_threshold", overlap > 0 ? overlap : 1), limit("threshold", settings.threshold)});
    const std::string image = g_.slice(left, 1, 0, 1), class_id = g_.slice(left, 1, 1, 2),
                      box = g_.slice(left, 1, 2, 3);
    const auto real = [&](const std::string& x) {
      return g_.add("Cast", {x}, {{"to", int64_t(onnx::kFloat)}});
    };
    const std::string score = g_.add("GatherND", {scores, g_.concatenated({image, box, class_id}, 1)});
    g_.output("detections",
              g_.concatenated({real(g_.slice(left, 1, 0, 2)), g_.add("Unsqueeze", {score, g_.integers({1})}),
                               g_.add("GatherND", {corners, g_.concatenated({image, box}, 1)})},
                              1),
              {onnx::kAnyCount, 7});
    g_.model().metadata = {
        {"detections",
         "image, class, score, x1, y1, x2, y2; the last four in parts of the width and height of `images`"}};
  }

  // Of a classifier one number for each class; of any other network the last layer as it is.
  void last_layer() {
    const Node& last = network_.nodes().back();
    const Shape out = last.output;
    g_.begin("output", last.section, {values_.back()});
    if (last.layer->has_loss() && out.h * out.w == 1)
      g_.output("probabilities", g_.reshaped(g_.x(), {0, out.c}), {options_.batch, out.c});
    else
      g_.output("output", g_.x(), {options_.batch, out.c, out.h, out.w});
  }

  [[noreturn]] static void refuse(const Node& node, const std::string& why) {
    node.section.fail(node.section.line, "cannot be exported to ONNX: " + why);
  }

  const Network& network_;
  OnnxOptions options_;
  OnnxGraph g_;
  OnnxGraph::Names values_;  // of each layer
  OnnxGraph::Names boxes_, scores_;
  int64_t count_ = 0, classes_ = 0;
};

}  // namespace

onnx::Model to_onnx(const Network& network, const OnnxOptions& options) {
  return Export(network, options).model();
}

}  // namespace osprey
