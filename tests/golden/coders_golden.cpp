// Coders of boxes against torchvision, mmdetection, maskrcnn-benchmark and SSD, on both devices; YOLO's
// against mmdetection.
#include "cuda/box_coder.h"

#include <cmath>

#include "tests/golden/golden.h"

namespace osprey {
namespace {

using Values = std::vector<float>;

BoxCoder coder(const golden::Case& c) {
  BoxCoder coder;
  if (c.params().contains("weights")) {
    coder.centre_weight = c.params()["weights"][0];
    coder.size_weight = c.params()["weights"][2];
  } else if (c.params().contains("stds")) {
    coder.centre_weight = 1 / c.params()["stds"][0].get<float>();
    coder.size_weight = 1 / c.params()["stds"][2].get<float>();
    coder.min_log_ratio = -kMaxLogRatio;
  } else {
    coder.centre_weight = 1 / c.params()["variances"][0].get<float>();
    coder.size_weight = 1 / c.params()["variances"][1].get<float>();
    coder.max_log_ratio = INFINITY;
  }
  return coder;
}

Values each(Values rows, Box (*change)(Box)) {
  const View<float> view(rows.data(), {1, 1, int(rows.size() / 4), 4});
  for (int row = 0; row < view.shape.w; ++row) set_row(view, row, change(box_of_row(view, row)));
  return rows;
}
Box to_inclusive(Box b) { return {b.x1, b.y1, b.x2 - 1, b.y2 - 1}; }
Box of_centre(Box b) { return corners({b.x1, b.y1, b.x2, b.y2}); }

GOLDEN_ON_DEVICES(box_coder) {
  const bool inclusive = c.param("offset", 0) == 1;
  Values anchors = c.has("priors") ? each(c.floats("priors"), of_centre) : c.floats("anchors");
  Values gt = c.floats("gt");
  if (inclusive) anchors = each(anchors, from_inclusive), gt = each(gt, from_inclusive);
  const Values deltas = c.floats(c.has("loc") ? "loc" : "deltas");
  const Shape shape = {1, 1, int(gt.size() / 4), 4};
  Values size, encoded(gt.size()), decoded(gt.size());
  if (c.params().contains("max_shape"))
    size = {c.params()["max_shape"][1].get<float>(), c.params()["max_shape"][0].get<float>()};
  const BoxClip clip = {size.empty() ? View<const float>() : View<const float>(size.data(), {1, 1, 1, 2})};
  const View<const float> a(anchors.data(), shape), d(deltas.data(), shape);
  Stream s{device};
  on(s, cpu::box_encode, cuda::box_encode)(s, View<const float>(gt.data(), shape), a, coder(c),
                                           View<float>(encoded.data(), shape));
  on(s, cpu::box_decode, cuda::box_decode)(s, d, a, coder(c), clip, View<float>(decoded.data(), shape));
  c.expect("encoded", encoded);
  c.expect("decoded", inclusive ? each(decoded, to_inclusive) : decoded);
  if (!c.has("ddeltas")) return;
  const Values dy = c.floats("dy");
  Values ddeltas(dy.size(), 0);
  on(s, cpu::box_decode_backward, cuda::box_decode_backward)(
      s, d, a, coder(c), clip, View<const float>(dy.data(), shape), View<float>(ddeltas.data(), shape));
  c.expect("ddeltas", ddeltas);
}

GOLDEN(yolo_coder) {
  YoloCoder coder;
  coder.stride = c.params().at("stride");
  coder.eps = c.params().at("eps");
  const Values anchors = c.floats("anchors"), gt = c.floats("gt"), pred = c.floats("pred");
  const Shape shape = {1, 1, int(gt.size() / 4), 4};
  Values encoded(gt.size()), decoded(gt.size());
  for (int row = 0; row < shape.w; ++row) {
    const Box anchor = box_of_row({anchors.data(), shape}, row);
    const Deltas p = coder.encode(box_of_row({gt.data(), shape}, row), anchor);
    set_row({encoded.data(), shape}, row, {p.x, p.y, p.w, p.h});
    set_row({decoded.data(), shape}, row, coder.decode(deltas_of_row({pred.data(), shape}, row), anchor));
  }
  c.expect("encoded", encoded);
  c.expect("decoded", decoded);
}

}  // namespace
}  // namespace osprey
