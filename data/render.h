// The pixels of a sample that was described (core/sample.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/image.h"

namespace osprey {

// On the CPU: writes [height,width,channels] to `pixels`, from one image for each part.
void render(const SamplePlan& plan, std::span<const Image> images, int width, int height, float* pixels);
void render(const SamplePlan& plan, std::span<const ByteImage> images, int width, int height, float* pixels);

// Where an image may begin behind so many bytes: at an even place, as values of 16 bits must.
inline size_t image_begin(size_t bytes) { return (bytes + 1) / 2 * 2; }

// The bytes that a part of a plan reads of its image are appended to `bytes`, and the part says that they are
// its image, wherever it read pixels of the whole.
void pack(SamplePart& part, const ByteImage& image, std::vector<uint8_t>& bytes);

}  // namespace osprey
