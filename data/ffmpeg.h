// FFmpeg's handles, each freed with its own function, and its complaints as text. Its headers stay in .cpp
// files.
#pragma once

#include <memory>
#include <new>
#include <string>

struct AVCodecContext;
struct AVFormatContext;
struct AVFrame;
struct AVPacket;
struct SwsContext;

namespace osprey::ffmpeg {

struct Free {
  void operator()(AVCodecContext* context) const;
  void operator()(AVFormatContext* input) const;  // an opened input; of an output, see the writer
  void operator()(AVFrame* frame) const;
  void operator()(AVPacket* packet) const;
  void operator()(SwsContext* context) const;
};
template <class T>
using Handle = std::unique_ptr<T, Free>;

// Takes what FFmpeg made; std::bad_alloc if that is nothing.
template <class T>
Handle<T> held(T* made) {
  if (!made) throw std::bad_alloc();
  return Handle<T>(made);
}

// From now on FFmpeg's log goes nowhere but into the next reason().
void keep_quiet();

// What an error code means, with the last thing that FFmpeg said of it, if it said something since the last
// call.
std::string reason(int error);

}  // namespace osprey::ffmpeg
