#include "data/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/parallel.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

// Where tiles begin along an axis.
std::vector<int> begins(int length, const TileGrid& grid) {
  if (length <= grid.size) return {0};
  const int step = grid.size - grid.shared_pixels(), rest = length - grid.size;
  const int steps = (rest + step - 1) / step;
  std::vector<int> at;
  for (int i = 0; i <= steps; ++i) at.push_back(int(int64_t(rest) * i / steps));
  return at;
}

struct Tile {
  std::string path;
  int64_t objects = 0;
};

std::vector<Tile> write_tiles_of(const Sample& sample, const TileGrid& grid, bool background,
                                 const fs::path& folder) {
  const ByteImage image = load_bytes(sample.image, 0);
  const bool fits_png = image.value_bytes == 1 && image.channels <= 4;
  std::vector<Tile> tiles;
  for (const ImageWindow& window : tiles_of(image.width, image.height, grid)) {
    std::vector<Label> labels = labels_in(sample.labels, image.width, image.height, window);
    // Darknet labels cannot say either of them: left out, as training leaves them out.
    std::erase_if(labels, [](const Label& label) { return label.crowd || label.difficult; });
    if (labels.empty() && !background) continue;
    const fs::path path = folder / fmt::format("{}_{}_{}.{}", fs::path(sample.image).stem().string(),
                                               window.left, window.top, fits_png ? "png" : "npy");
    const ByteImage piece = piece_of(image, window);
    if (fits_png)
      save_image(path.string(), unit_image(piece));
    else
      save_array(path.string(), piece);
    write_darknet_labels(fs::path(path).replace_extension(".txt").string(), labels);
    tiles.push_back({path.string(), int64_t(labels.size())});
  }
  return tiles;
}

void check_names(const Dataset& dataset) {
  std::set<std::string> names;
  for (const Sample& sample : dataset.samples)
    if (!names.insert(fs::path(sample.image).stem().string()).second)
      fail("{}: another image has that name, too, and the tiles of both would be one file", sample.image);
}

}  // namespace

int TileGrid::shared_pixels() const { return std::clamp(int(float(size) * overlap), 0, size - 1); }

std::vector<ImageWindow> tiles_of(int width, int height, const TileGrid& grid) {
  std::vector<ImageWindow> tiles;
  for (const int top : begins(height, grid))
    for (const int left : begins(width, grid))
      tiles.push_back({left, top, std::min(width, grid.size), std::min(height, grid.size)});
  return tiles;
}

ByteImage piece_of(const ByteImage& image, const ImageWindow& w) {
  ByteImage piece{w.height, w.width, image.channels, {}, image.value_bytes};
  piece.pixels.reserve(piece.row_bytes() * size_t(w.height));
  for (int y = 0; y < w.height; ++y) {
    const auto from = image.pixels.begin() + std::ptrdiff_t(size_t(w.top + y) * image.row_bytes() +
                                                            size_t(w.left) * image.pixel_bytes());
    piece.pixels.insert(piece.pixels.end(), from, from + std::ptrdiff_t(piece.row_bytes()));
  }
  return piece;
}

std::vector<Label> labels_in(const std::vector<Label>& labels, int width, int height,
                             const ImageWindow& window) {
  const Box tile = {float(window.left), float(window.top), float(window.left + window.width),
                    float(window.top + window.height)};
  std::vector<Label> found;
  for (Label label : labels) {
    Box box = scaled(corners(label.box), float(width), float(height));
    if (!(2 * intersection(box, tile) >= area(box))) continue;
    box = {std::max(box.x1, tile.x1) - tile.x1, std::max(box.y1, tile.y1) - tile.y1,
           std::min(box.x2, tile.x2) - tile.x1, std::min(box.y2, tile.y2) - tile.y1};
    label.box = centre(scaled(box, 1 / tile.width(), 1 / tile.height()));
    found.push_back(label);
  }
  return found;
}

WrittenTiles write_tiles(const Dataset& dataset, const TileGrid& grid, bool background,
                         const std::string& folder, const std::string& name) {
  check_names(dataset);
  const fs::path images = fs::path(folder) / name;
  std::error_code error;
  fs::create_directories(images, error);
  if (error) fail("{}: this folder cannot be made: {}", images.string(), error.message());
  std::vector<std::vector<Tile>> tiles(dataset.samples.size());
  parallel_for(int64_t(tiles.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) try {
        tiles[size_t(i)] = write_tiles_of(dataset.samples[size_t(i)], grid, background, images);
      } catch (const Error& e) {
        warn("{}", e.what());
      }
  });
  WrittenTiles written;
  std::string list;
  for (const std::vector<Tile>& of_image : tiles)
    for (const Tile& tile : of_image) {
      list += fs::path(tile.path).lexically_relative(folder).string() + "\n";
      ++written.tiles;
      written.objects += tile.objects;
    }
  write_file((fs::path(folder) / (name + ".txt")).string(), list);
  return written;
}

}  // namespace osprey
