#include "train/tiles.h"

#include <algorithm>
#include <cmath>

namespace osprey {
namespace {

bool is_whole(const ImageWindow& tile, int width, int height) {
  return tile.width == width && tile.height == height;
}

// Whether a box reaches an edge of its tile beyond which the image goes on. Boxes of objects that are cut end
// a little before or behind the edge.
bool is_cut(const Box& b, const ImageWindow& t, int width, int height) {
  const float near = std::max(2.0f, 0.01f * float(t.width));
  const int right = t.left + t.width, bottom = t.top + t.height;
  return (t.left > 0 && b.x1 < float(t.left) + near) || (t.top > 0 && b.y1 < float(t.top) + near) ||
         (right < width && b.x2 > float(right) - near) || (bottom < height && b.y2 > float(bottom) - near);
}

struct TileBox {
  Detection detection;
  size_t tile;
  bool cut;
};

bool suppresses(const TileBox& kept, const TileBox& other, float threshold) {
  if (kept.tile == other.tile || kept.detection.class_id != other.detection.class_id) return false;
  const Box a = kept.detection.box, b = other.detection.box;
  return iou(a, b) > threshold || (other.cut && coverage(b, a) > 0.5f);
}

}  // namespace

std::vector<Detection> merge_tiles(const std::vector<TileDetections>& tiles, int width, int height,
                                   const TileOptions& options) {
  const float shared = float(options.grid.shared_pixels());
  std::vector<TileBox> entries;
  for (size_t t = 0; t < tiles.size(); ++t) {
    const bool whole = tiles.size() > 1 && is_whole(tiles[t].tile, width, height);
    for (const Detection& d : tiles[t].found)
      if (!whole || d.box.width() > shared || d.box.height() > shared)
        entries.push_back({d, t, is_cut(d.box, tiles[t].tile, width, height)});
  }
  std::stable_sort(entries.begin(), entries.end(), [](const TileBox& a, const TileBox& b) {
    return a.cut != b.cut ? b.cut : a.detection.score > b.detection.score;
  });
  std::vector<TileBox> kept;
  for (const TileBox& entry : entries)
    if (options.nms_threshold <= 0 || std::none_of(kept.begin(), kept.end(), [&](const TileBox& k) {
          return suppresses(k, entry, options.nms_threshold);
        }))
      kept.push_back(entry);
  std::vector<Detection> found;
  for (const TileBox& entry : kept) found.push_back(entry.detection);
  std::stable_sort(found.begin(), found.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return found;
}

std::vector<Detection> detect_in_tiles(ImageDetector& detector, const ByteImage& image, int batch,
                                       const TileOptions& options) {
  std::vector<ImageWindow> windows = tiles_of(image.width, image.height, options.grid);
  if (windows.size() > 1) windows.push_back({0, 0, image.width, image.height});
  std::vector<TileDetections> tiles;
  for (size_t start = 0; start < windows.size(); start += size_t(batch)) {
    const size_t end = std::min(windows.size(), start + size_t(batch));
    std::vector<ByteImage> pieces;
    for (size_t i = start; i < end; ++i) pieces.push_back(piece_of(image, windows[i]));
    std::vector<const ByteImage*> pointers;
    for (const ByteImage& piece : pieces) pointers.push_back(&piece);
    std::vector<std::vector<Detection>> found = detector.detect(pointers);
    for (size_t i = start; i < end; ++i) {
      const float left = float(windows[i].left), top = float(windows[i].top);
      for (Detection& d : found[i - start])
        d.box = {d.box.x1 + left, d.box.y1 + top, d.box.x2 + left, d.box.y2 + top};
      tiles.push_back({windows[i], std::move(found[i - start])});
    }
  }
  return merge_tiles(tiles, image.width, image.height, options);
}

}  // namespace osprey
