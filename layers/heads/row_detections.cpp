#include "layers/heads/row_detections.h"

namespace osprey {

void decode_rows(View<const float> rows, int image, float threshold, Candidates& out) {
  const int length = rows.shape.c, classes = length - kClasses;
  out.classes = classes;
  std::vector<float> scores(size_t(classes), 0.0f);
  for (int r = 0; r < rows.shape.w; ++r) {
    const float* row = &rows[(image * rows.shape.w + r) * length];
    bool any = false;
    for (int c = 0; c < classes; ++c) {
      const float score = row[kObjectness] * row[kClasses + c];
      scores[c] = score > threshold ? score : 0;
      any |= scores[c] > 0;
    }
    if (!any) continue;
    out.boxes.push_back({row[kX], row[kY], row[kW], row[kH]});
    out.objectness.push_back(row[kObjectness]);
    out.probabilities.insert(out.probabilities.end(), scores.begin(), scores.end());
  }
}

}  // namespace osprey
