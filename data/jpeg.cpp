// JPEG, by libjpeg, from bytes in memory: in Debian's libjpeg-turbo it takes half of stb_image's time. It
// goes on where data is damaged and tells so by a warning; what costs pixels is an Error here. What it cannot
// go on with it tells to a function that must not return.
// clang-format off
#include <cstdio>
#include <jpeglib.h>  // needs cstdio before it
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "core/error.h"
#include "data/image_formats.h"

namespace osprey {
namespace {

struct Errors {
  jpeg_error_mgr base;  // first, so that libjpeg's pointer to it is one to all
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
  bool cut = false;

  static Errors& of(j_common_ptr jpeg) { return *reinterpret_cast<Errors*>(jpeg->err); }
};

[[noreturn]] void give_up(j_common_ptr jpeg) {
  Errors& errors = Errors::of(jpeg);
  errors.base.format_message(jpeg, errors.message);
  std::longjmp(errors.back, 1);
}

// Other warnings are of bytes between segments, and of what the header says about itself.
void judge(j_common_ptr jpeg, int level) {
  if (level >= 0) return;  // no warning
  switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
      Errors::of(jpeg).cut = true;
      [[fallthrough]];
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      give_up(jpeg);
  }
}

class Decoder {
 public:
  explicit Decoder(const std::string& path) : path_(path) {
    jpeg_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = give_up;
    errors_.base.emit_message = judge;
  }
  ~Decoder() { jpeg_destroy_decompress(&jpeg_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const jpeg_decompress_struct& read_header(std::string_view bytes) {
    call([&] {
      jpeg_create_decompress(&jpeg_);
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      jpeg_read_header(&jpeg_, TRUE);
    });
    return jpeg_;
  }

  // After the header: with one channel (grey) or three (RGB).
  ByteImage read_pixels(int channels) {
    jpeg_.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    ByteImage image{int(jpeg_.image_height), int(jpeg_.image_width), channels, {}};
    image.pixels.resize(size_t(image.height) * image.row_bytes());
    call([&] {
      jpeg_start_decompress(&jpeg_);
      while (jpeg_.output_scanline < jpeg_.output_height) {
        JSAMPLE* row = image.pixels.data() + jpeg_.output_scanline * image.row_bytes();
        jpeg_read_scanlines(&jpeg_, &row, 1);
      }
      jpeg_finish_decompress(&jpeg_);
    });
    return image;
  }

 private:
  // libjpeg's errors leave `body` by a jump: nothing in it may have a destructor.
  template <class Body>
  void call(Body&& body) {
    if (setjmp(errors_.back)) {
      if (errors_.cut) fail("{}: the image is cut short", path_);
      fail("{}: not a readable image: {}", path_, errors_.message);
    }
    body();
  }

  const std::string& path_;
  jpeg_decompress_struct jpeg_{};
  Errors errors_;
};

}  // namespace

std::optional<ByteImage> read_jpeg(const std::string& path, std::string_view bytes, int channels) {
  if (channels == 2 || channels > 3) return {};
  Decoder decoder(path);
  const jpeg_decompress_struct& header = decoder.read_header(bytes);
  const J_COLOR_SPACE stored = header.jpeg_color_space;
  if (stored != JCS_GRAYSCALE && stored != JCS_YCbCr && stored != JCS_RGB) return {};
  check_room(path, bytes.size(), int(header.image_width), int(header.image_height), kMostInAByteOfJpeg);
  // Of YCbCr the grey image is the first component.
  const bool grey = stored == JCS_GRAYSCALE || (stored == JCS_YCbCr && channels == 1);
  return with_channels(path, decoder.read_pixels(grey ? 1 : 3), channels);
}

}  // namespace osprey
