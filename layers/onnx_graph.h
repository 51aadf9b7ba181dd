// A network as it becomes operators of ONNX, layer by layer. There tensors are [N,C,H,W], and a value is
// known by its name. docs/deploy.md tells what users get.
//
// A layer says its own form: it is an OnnxLayer, and its to_onnx() stands beside its forward(), of which it
// must be another spelling. What is no OnnxLayer is not exported.
#pragma once

#include <string>
#include <vector>

#include "core/activations.h"
#include "core/cfg.h"
#include "core/onnx_file.h"
#include "core/view.h"
#include "core/window.h"

namespace osprey {

class OnnxGraph {
 public:
  using Attributes = std::vector<onnx::Attribute>;
  using Names = std::vector<std::string>;
  using Sides = std::vector<int64_t>;

  // `batch`: images at a time; onnx::kAnyBatch: as many as are given when it runs.
  OnnxGraph(int64_t batch, Shape input);

  // From here on nodes are those of this layer, which reads these values; `layer` ("12_maxpool") is the first
  // part of all names.
  void begin(const std::string& layer, const Section& section, Names inputs);
  // The value that begin() named so, and how many there are.
  const std::string& x(int k = 0) const { return inputs_.at(size_t(k)); }
  int inputs() const { return int(inputs_.size()); }
  // Throws "file:line: [name] cannot be exported to ONNX: why" unless it is so.
  void require(bool possible, const char* key, const std::string& why) const;
  // If the layer's last node makes the value, both get the layer's name.
  std::string finish(const std::string& value);
  void output(const std::string& name, const std::string& value, Sides sides);

  // One node; the value that it makes.
  std::string add(const char* op, Names inputs, Attributes attributes = {});

  std::string number(float value);  // of no sides
  std::string constant(const char* what, Sides sides, std::vector<float> values);
  std::string integers(std::vector<int64_t> values);                    // of one side
  std::string per_channel(const char* what, View<const float> values);  // [1,C,1,1]
  // Of ours, {n, h, w, c}, as [n, c, h, w].
  std::string weights(View<const float> values);
  std::string weight_rows(View<const float> values);  // as [n, c h w]

  std::string scaled(const std::string& x, float factor);
  std::string shifted(const std::string& x, float offset);
  std::string clipped(const std::string& x, float least, float most);
  std::string reshaped(const std::string& x, Sides sides);  // 0: as before, -1: what is left
  std::string transposed(const std::string& x, Sides order);
  std::string slice(const std::string& x, int axis, int64_t first, int64_t end, int64_t step = 1);
  std::string padded(const std::string& x, Sides before, Sides after);  // with zeros
  std::string softmax(const std::string& x, int axis);
  std::string concatenated(const Names& parts, int axis);  // one part is itself
  std::string activation(const std::string& x, Activation);

  // Attributes of convolutions and poolings.
  static Attributes window(const Window2& window);

  int64_t batch() const { return batch_; }
  const onnx::Model& model() const { return model_; }
  onnx::Model& model() { return model_; }

 private:
  std::string channel_activation(const std::string& x, Activation);
  std::string stair(const std::string& x);
  std::string unique(const std::string& what);

  onnx::Model model_;
  int64_t batch_;
  std::string layer_;
  const Section* section_ = nullptr;
  Names inputs_;
  std::vector<std::string> used_;  // names within the layer
};

class OnnxLayer {
 public:
  virtual std::string to_onnx(OnnxGraph&) const = 0;  // the value that the layer makes

 protected:
  ~OnnxLayer() = default;
};

// Of heads: what Head::decode reads from one image, for all images and with nothing left out. K boxes are in
// the order in which the head lists them.
class OnnxHead {
 public:
  struct Detections {
    std::string boxes;   // [N,K,4]: centre x, y, width and height, in units of the network input
    std::string scores;  // [N,K,classes]
    int64_t count = 0;   // K
  };
  virtual Detections detections_to_onnx(OnnxGraph&) const = 0;

 protected:
  ~OnnxHead() = default;
};

}  // namespace osprey
