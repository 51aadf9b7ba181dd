// TIFF, by libtiff, from bytes in memory. What libtiff says of a damaged file becomes a part of our one line.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "core/error.h"
#include "data/image_formats.h"

namespace osprey {
namespace {

// Compressed values may be so many times as long as the file: an RLE block of zstd is 128 KB in 4 bytes.
// Without a compression none are.
constexpr uint64_t kDensest = 32768;
constexpr tmsize_t kMostAtOnce = tmsize_t(1) << 28;  // bytes that libtiff may take for itself

struct Page {
  uint32_t width = 0, height = 0;
  uint16_t samples = 1, bits = 1, compression = COMPRESSION_NONE;
  bool planes = false, tiles = false;
  bool inverted = false;                       // 0 is white
  uint32_t block_width = 0, block_height = 0;  // of a tile or a strip

  size_t value_bytes() const { return bits / 8; }
};

class Tiff {
 public:
  Tiff(const std::string& path, std::string_view bytes) : path_(path), bytes_(bytes) {
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                               TIFFOpenOptionsFree);
    if (!options) throw std::bad_alloc();
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostAtOnce);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, va_list) { return 1; }, nullptr);
    // Not mapped ("m"): libtiff checks what it reads against the length then.
    tiff_ = TIFFClientOpenExt(path.c_str(), "rm", this, read, write, seek, close, length, nullptr, nullptr,
                              options.get());
    if (!tiff_) damaged("not a readable image");
  }
  ~Tiff() {
    if (tiff_) TIFFClose(tiff_);
  }
  Tiff(const Tiff&) = delete;
  Tiff& operator=(const Tiff&) = delete;

  // Those that are no previews or masks of others.
  std::vector<tdir_t> pages();
  Page page(tdir_t number);
  // The values of a page, [height,width,samples], as the channels from `first` on.
  void read_page(const Page& page, ByteImage& image, int first);

 private:
  static int keep_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
    auto& said = static_cast<Tiff*>(user)->said_;
    char line[256];
    std::vsnprintf(line, sizeof line, format, arguments);
    if (said.empty()) said = line;  // the first is the cause of the others
    return 1;
  }
  static tmsize_t read(thandle_t user, void* to, tmsize_t size) {
    auto& t = *static_cast<Tiff*>(user);
    if (t.at_ >= t.bytes_.size() || size <= 0) return 0;
    const size_t got = t.bytes_.copy(static_cast<char*>(to), size_t(size), size_t(t.at_));
    t.at_ += got;
    return tmsize_t(got);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t seek(thandle_t user, toff_t offset, int from) {
    auto& t = *static_cast<Tiff*>(user);
    t.at_ = offset + (from == SEEK_CUR ? t.at_ : from == SEEK_END ? t.bytes_.size() : 0);
    return t.at_;
  }
  static int close(thandle_t) { return 0; }
  static toff_t length(thandle_t user) { return static_cast<Tiff*>(user)->bytes_.size(); }

  [[noreturn]] void damaged(const char* what) const {
    if (said_.empty()) fail("{}: {}", path_, what);
    fail("{}: {}: {}", path_, what, said_);
  }
  uint32_t number(uint32_t tag) {
    uint32_t value = 0;
    return TIFFGetFieldDefaulted(tiff_, tag, &value) ? value : 0;
  }
  uint16_t word(uint32_t tag, uint16_t otherwise) {
    uint16_t value = 0;
    return TIFFGetFieldDefaulted(tiff_, tag, &value) ? value : otherwise;
  }
  void read_colours(Page& page);
  void check_room(const Page& page) const;
  void read_block(const Page& page, uint32_t x, uint32_t y, uint16_t plane, std::vector<uint8_t>& block,
                  size_t size);

  const std::string& path_;
  std::string_view bytes_;
  uint64_t at_ = 0;
  std::string said_;
  TIFF* tiff_ = nullptr;
};

std::vector<tdir_t> Tiff::pages() {
  std::vector<tdir_t> found;
  while (true) {
    if (!(number(TIFFTAG_SUBFILETYPE) & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)))
      found.push_back(TIFFCurrentDirectory(tiff_));
    if (found.size() > size_t(kMaxChannels))
      fail("{}: has more than {} pages, each a channel", path_, kMaxChannels);
    if (TIFFLastDirectory(tiff_)) break;
    if (!TIFFReadDirectory(tiff_)) damaged("the image is cut short or damaged");
  }
  if (found.empty()) fail("{}: has previews and masks, but no image", path_);
  return found;
}

Page Tiff::page(tdir_t index) {
  if (!TIFFSetDirectory(tiff_, index)) damaged("the image is cut short or damaged");
  Page page;
  page.width = number(TIFFTAG_IMAGEWIDTH);
  page.height = number(TIFFTAG_IMAGELENGTH);
  page.samples = word(TIFFTAG_SAMPLESPERPIXEL, 1);
  page.bits = word(TIFFTAG_BITSPERSAMPLE, 1);
  page.compression = word(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  page.planes = word(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  page.tiles = TIFFIsTiled(tiff_);
  check_extent(path_, page.width, page.height, page.samples);
  const uint16_t format = word(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if ((page.bits != 8 && page.bits != 16) || (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID))
    fail("{}: its values have {} bits{}; whole numbers of 8 and 16 bits are read, from 0 up", path_,
         page.bits,
         format == SAMPLEFORMAT_IEEEFP ? " and are floating"
         : format == SAMPLEFORMAT_INT  ? " and a sign"
                                       : "");
  read_colours(page);
  page.block_width = page.tiles ? number(TIFFTAG_TILEWIDTH) : page.width;
  page.block_height =
      page.tiles ? number(TIFFTAG_TILELENGTH) : std::min(number(TIFFTAG_ROWSPERSTRIP), page.height);
  check_room(page);
  return page;
}

void Tiff::read_colours(Page& page) {
  const uint16_t colours = word(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
  page.inverted = colours == PHOTOMETRIC_MINISWHITE;
  if (colours == PHOTOMETRIC_YCBCR && page.compression == COMPRESSION_JPEG) {
    TIFFSetField(tiff_, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return;
  }
  if (colours > PHOTOMETRIC_RGB || page.compression == COMPRESSION_OJPEG)
    fail("{}: its colours are a palette, CMYK, YCbCr or the like: save it as RGB, or as channels of grey",
         path_);
}

// Sizes are believed if the file is long enough for them; else memory would be taken for what is not there.
void Tiff::check_room(const Page& page) const {
  const uint64_t most = bytes_.size() * (page.compression == COMPRESSION_NONE ? 1 : kDensest);
  const uint64_t pixel = page.samples * page.value_bytes();
  const uint64_t image = uint64_t(page.width) * page.height * pixel;
  // A tile may be larger than the image; no more than twice along each side has a use.
  const bool tile_fits = !page.tiles || (page.block_width <= std::max(2 * page.width, 1024u) &&
                                         page.block_height <= std::max(2 * page.height, 1024u));
  if (image > most || !tile_fits || page.block_width < 1 || page.block_height < 1)
    fail("{}: the image is cut short: {}x{} pixels of {} bytes cannot be in {} bytes", path_, page.width,
         page.height, pixel, bytes_.size());
}

void Tiff::read_block(const Page& page, uint32_t x, uint32_t y, uint16_t plane, std::vector<uint8_t>& block,
                      size_t size) {
  said_.clear();  // what libtiff put up with before is no fault of the values
  const tmsize_t got =
      page.tiles
          ? TIFFReadEncodedTile(tiff_, TIFFComputeTile(tiff_, x, y, 0, plane), block.data(), tmsize_t(size))
          : TIFFReadEncodedStrip(tiff_, TIFFComputeStrip(tiff_, y, plane), block.data(), tmsize_t(size));
  if (got != tmsize_t(size) || !said_.empty()) damaged("the image is cut short or damaged");
  if (page.inverted) std::transform(block.begin(), block.end(), block.begin(), [](uint8_t b) { return ~b; });
}

void Tiff::read_page(const Page& page, ByteImage& image, int first) {
  const uint16_t planes = page.planes ? page.samples : 1;
  const size_t value = page.value_bytes(), pixel = page.samples / planes * value;
  std::vector<uint8_t> block(size_t(page.block_width) * page.block_height * pixel);
  for (uint16_t plane = 0; plane < planes; ++plane)
    for (uint32_t top = 0; top < page.height; top += page.block_height)
      for (uint32_t left = 0; left < page.width; left += page.block_width) {
        const uint32_t rows = std::min(page.block_height, page.height - top);
        const uint32_t columns = std::min(page.block_width, page.width - left);
        read_block(page, left, top, plane, block,
                   size_t(page.block_width) * (page.tiles ? page.block_height : rows) * pixel);
        for (uint32_t y = 0; y < rows; ++y) {
          const uint8_t* from = block.data() + size_t(y) * page.block_width * pixel;
          uint8_t* to = image.pixels.data() + (top + y) * image.row_bytes() + left * image.pixel_bytes() +
                        size_t(first + plane) * value;
          if (pixel == image.pixel_bytes())
            std::memcpy(to, from, columns * pixel);
          else
            for (uint32_t x = 0; x < columns; ++x)
              std::memcpy(to + x * image.pixel_bytes(), from + x * pixel, pixel);
        }
      }
}

}  // namespace

ByteImage read_tiff(const std::string& path, std::string_view bytes) {
  Tiff tiff(path, bytes);
  const std::vector<tdir_t> numbers = tiff.pages();
  std::vector<Page> pages;
  for (const tdir_t number : numbers) pages.push_back(tiff.page(number));
  const Page& first = pages[0];
  for (const Page& page : pages) {
    if (pages.size() > 1 && page.samples != 1)
      fail("{}: has {} pages, one of {} channels; pages are read where each is one channel", path,
           pages.size(), page.samples);
    if (page.width != first.width || page.height != first.height || page.bits != first.bits)
      fail("{}: its pages differ: {}x{} of {} bits, and {}x{} of {}", path, first.width, first.height,
           first.bits, page.width, page.height, page.bits);
  }
  const int channels = pages.size() > 1 ? int(pages.size()) : first.samples;
  ByteImage image{int(first.height), int(first.width), channels, {}, int(first.value_bytes())};
  image.pixels.resize(size_t(image.height) * image.row_bytes());
  for (size_t i = 0; i < pages.size(); ++i) tiff.read_page(tiff.page(numbers[i]), image, int(i));
  return image;
}

std::pair<int, int> tiff_size(const std::string& path, std::string_view bytes) {
  Tiff tiff(path, bytes);
  const Page page = tiff.page(tiff.pages()[0]);
  return {int(page.width), int(page.height)};
}

}  // namespace osprey
