// A build without libjpeg: stb_image reads all JPEG files.
#include "data/image_formats.h"

namespace osprey {

std::optional<ByteImage> read_jpeg(const std::string&, std::string_view, int) { return {}; }

}  // namespace osprey
