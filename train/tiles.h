// Detection in the tiles of large images: each goes through the network by itself.
#pragma once

#include <vector>

#include "data/tiles.h"
#include "train/detector.h"

namespace osprey {

struct TileOptions {
  TileGrid grid;
  float nms_threshold = 0.45f;  // IoU of two boxes of different tiles that are one object; 0: all boxes stay
};

// What was found in a tile, or in the whole image, in pixels of the image.
struct TileDetections {
  ImageWindow tile;
  std::vector<Detection> found;
};

// One list, by falling score. Of two boxes of one class from different tiles the surer stays, but one that
// ends at the edge of its tile, where the object may go on, only where no other covers half of it. What was
// found in the whole image counts where it is larger than the overlap: all else is whole in some tile.
std::vector<Detection> merge_tiles(const std::vector<TileDetections>& tiles, int width, int height,
                                   const TileOptions& options);

// Detections in the tiles and in the image as a whole, merged; `batch` images run together.
std::vector<Detection> detect_in_tiles(ImageDetector& detector, const ByteImage& image, int batch,
                                       const TileOptions& options);

}  // namespace osprey
