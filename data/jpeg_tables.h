// What stb_image believes of a JPEG file without looking, to its own harm.
#pragma once

#include <string_view>

namespace osprey {

// Of any file: false where it is a JPEG with a Huffman table of more than 256 codes. stb_image 2.27, which is
// Debian 12's, has room for no more, and writes on.
bool has_sound_tables(std::string_view jpeg);

}  // namespace osprey
