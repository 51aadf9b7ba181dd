// Large images in pieces, in which small objects keep their pixels.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace osprey {

struct TileGrid {
  int size = 640;        // width and height in pixels of the image
  float overlap = 0.2f;  // the part of it that neighbours share: at least objects' size, to be whole in one
  int shared_pixels() const;
};

// Equal tiles that cover the image, row by row, with at least that overlap; where the image is smaller than a
// tile, one of the image's size.
std::vector<ImageWindow> tiles_of(int width, int height, const TileGrid& grid);

// The pixels in a window that lies within the image.
ByteImage piece_of(const ByteImage& image, const ImageWindow& window);

// What of the labels is in a window of an image of this size, in units of the window: boxes of which at least
// half lies in it, cut at its edge.
std::vector<Label> labels_in(const std::vector<Label>& labels, int width, int height,
                             const ImageWindow& window);

// Writes the tiles of all images as PNG with Darknet labels, as OUT/NAME/IMAGE_LEFT_TOP.png, and the list
// OUT/NAME.txt of them. `background`: also tiles without an object. Returns how many tiles and objects there
// are. Crowds and difficult objects are left out. Images
// that cannot be read are told, and left out. Error: two images of one name.
struct WrittenTiles {
  int64_t tiles = 0, objects = 0;
};
WrittenTiles write_tiles(const Dataset& dataset, const TileGrid& grid, bool background,
                         const std::string& folder, const std::string& name);

}  // namespace osprey
