// A video through a detector: one thread reads ahead, one behind uses what was found, so that decoding,
// detecting, and drawing and encoding overlap.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/video.h"
#include "models/detections.h"

namespace osprey {

struct FrameOptions {
  int batch = 1;           // frames that run together
  int64_t max_frames = 0;  // of those that are read; 0: all
};

// Of each of `images`, at most as many as the batch.
using DetectImages =
    std::function<std::vector<std::vector<Detection>>(const std::vector<const ByteImage*>& images)>;
using UseFrame = std::function<void(const VideoFrame& frame, const std::vector<Detection>& found)>;

// Calls `detect` from this thread and `use`, frame by frame in their order, from another one. A live video
// goes on while a frame is detected: of the frames that came meanwhile the newest ones are next. Errors of
// all threads are thrown here.
void detect_frames(VideoReader& reader, const FrameOptions& options, const DetectImages& detect,
                   const UseFrame& use);

// At the end of a video, when all that could be done is done. Error: broken frames, a file that was cut
// short. A live video may have lost some.
void check_whole(const VideoReader& reader, const std::string& path, int64_t frames);

}  // namespace osprey
