// [crop]: a part of the image, [N,H,W,C] -> [N, crop_height, crop_width, C], and unless noadjust=1 the values
// 0 .. 1 become -1 .. 1. In detection it is the middle; in training one place for the whole mini-batch, drawn
// at random, and with flip=1 every second mini-batch is mirrored, as Darknet's CPU build does it.

#include "cuda/crop.h"

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {
namespace {

// body(first value of a pixel of the whole, first value of the pixel of the part)
template <class Body>
void for_each_pixel(Shape whole, Shape part, const Step* step, const ImageCrop& crop, Body&& body) {
  const ImageCrop::Place place = crop.place(whole, part, step);
  parallel_for(part.n * part.h, 1 + 16384 / (int64_t(part.w) * part.c), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / part.h, h = row % part.h;
      for (int w = 0; w < part.w; ++w)
        body(whole.index(n, place.h + h, place.column(w, part.w), 0), part.index(n, h, w, 0));
    }
  });
}

}  // namespace

void crop_forward(Stream&, View<const float> x, View<float> y, const Step* step, ImageCrop crop) {
  for_each_pixel(x.shape, y.shape, step, crop, [=](int from, int to) {
    for (int c = 0; c < y.shape.c; ++c) y[to + c] = crop.scale * x[from + c] + crop.offset;
  });
}

void crop_backward(Stream&, View<const float> dy, View<float> dx, const Step* step, ImageCrop crop) {
  for_each_pixel(dx.shape, dy.shape, step, crop, [=](int to, int from) {
    for (int c = 0; c < dy.shape.c; ++c) dx[to + c] += crop.scale * dy[from + c];
  });
}

}  // namespace cpu

class CropLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("crop_height", height_, 1).at_least(1).help("rows of the part");
    k.integer("crop_width", width_, 1).at_least(1).help("columns of the part");
    k.flag("flip", crop_.flip, false).help("1: in training every second mini-batch is mirrored");
    bool plain = false;
    k.flag("noadjust", plain, false).help("1: values stay as they are; 0: they become 2 x - 1");
    if (plain) crop_.scale = 1, crop_.offset = 0;
    for (size_t i = 0; i < std::size(kColours); ++i)
      k.real(kColours[i].key, colours_[i], kColours[i].neutral).help(kColours[i].help);
  }

  void plan(Plan& p) override {
    for (size_t i = 0; i < std::size(kColours); ++i)
      p.require(colours_[i] == kColours[i].neutral, kColours[i].key,
                fmt::format("{} is not supported here: {}", kColours[i].key, kColours[i].instead));
    const Shape in = p.input();
    p.require(height_ <= in.h, "crop_height",
              fmt::format("crop_height={} is more than the {} rows of the input", height_, in.h));
    p.require(width_ <= in.w, "crop_width",
              fmt::format("crop_width={} is more than the {} columns of the input", width_, in.w));
    p.output({in.n, height_, width_, in.c});
    crop_.layer = uint64_t(p.line());
    step_ = nullptr;
    if (p.training()) p.step(step_);
  }

  void forward(Stream& s) override { on(s, cpu::crop_forward, cuda::crop_forward)(s, x(), y, step_, crop_); }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::crop_backward, cuda::crop_backward)(s, dy, dx(), step_, crop_);
  }

  std::string to_onnx(OnnxGraph& g) const override {
    const ImageCrop::Place place = crop_.place(x().shape, y.shape, nullptr);
    const std::string rows = g.slice(g.x(), 2, place.h, place.h + height_);
    const std::string part = g.slice(rows, 3, place.w, place.w + width_);
    return g.shifted(g.scaled(part, crop_.scale), crop_.offset);
  }

 private:
  // What Darknet's GPU build does to the images, and where that is no change.
  struct Colour {
    const char* key;
    float neutral;
    const char *help, *instead;
  };
  static constexpr Colour kColours[] = {
      {"angle", 0, "turning the images: only 0", "Darknet's CPU build has no such turning either"},
      {"saturation", 1, "of the images: only 1", "saturation in [net] does that to the images"},
      {"exposure", 1, "of the images: only 1", "exposure in [net] does that to the images"},
      {"shift", 0, "of the colours: only 0", "hue in [net] changes the colours of the images"}};

  int height_ = 1, width_ = 1;
  ImageCrop crop_;
  float colours_[std::size(kColours)] = {};
  const Step* step_ = nullptr;
};

extern const LayerType crop = {"crop", nullptr, "a part of the image, in training at random",
                               make<CropLayer>};

}  // namespace osprey
