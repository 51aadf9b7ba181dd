#include "data/ffmpeg.h"

#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "data/ffmpeg_calls.h"

namespace osprey::ffmpeg {
namespace {

std::mutex g_mutex;  // decoders complain from threads of their own
std::string g_said;

void keep(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  char line[256];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string said(line);
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ' || said.back() == '.')) said.pop_back();
  if (said.empty()) return;
  std::lock_guard lock(g_mutex);
  g_said = said;
}

void* library(const std::string& video, const std::string& name, int version) {
  const std::string file = "lib" + name + ".so." + std::to_string(version);
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail("{}: this needs {} of FFmpeg, which cannot be used here: {}", video, file, dlerror());
  return handle;
}

void* function(const std::string& video, void* library, const char* name) {
  void* found = dlsym(library, name);
  if (!found) fail("{}: this needs {} of FFmpeg: {}", video, name, dlerror());
  return found;
}

Calls find_calls(const std::string& video) {
  Calls calls;
  void* const util = library(video, "avutil", LIBAVUTIL_VERSION_MAJOR);
  void* const codec = library(video, "avcodec", LIBAVCODEC_VERSION_MAJOR);
  void* const format = library(video, "avformat", LIBAVFORMAT_VERSION_MAJOR);
  void* const scale = library(video, "swscale", LIBSWSCALE_VERSION_MAJOR);
#define OSPREY_FIND(name) calls.name = reinterpret_cast<decltype(calls.name)>(function(video, in, #name));
  void* in = util;
  OSPREY_AVUTIL(OSPREY_FIND)
  in = codec;
  OSPREY_AVCODEC(OSPREY_FIND)
  OSPREY_SIDE_DATA_OF_AVCODEC(OSPREY_FIND)
  in = format;
  OSPREY_AVFORMAT(OSPREY_FIND)
  OSPREY_SIDE_DATA_OF_AVFORMAT(OSPREY_FIND)
  in = scale;
  OSPREY_SWSCALE(OSPREY_FIND)
#undef OSPREY_FIND
  return calls;
}

}  // namespace

const Calls& load(const std::string& video) {
  static const Calls found = find_calls(video);
  return found;
}

const Calls& calls() { return load(""); }

const AVInputFormat* camera_format(const std::string& camera) {
  // It has had the number of libavformat since FFmpeg 4.
  void* const devices = library(camera, "avdevice", LIBAVFORMAT_VERSION_MAJOR);
  reinterpret_cast<void (*)()>(function(camera, devices, "avdevice_register_all"))();
  return calls().av_find_input_format("video4linux2");
}

void Free::operator()(AVCodecContext* context) const { calls().avcodec_free_context(&context); }
void Free::operator()(AVFormatContext* input) const { calls().avformat_close_input(&input); }
void Free::operator()(AVFrame* frame) const { calls().av_frame_free(&frame); }
void Free::operator()(AVPacket* packet) const { calls().av_packet_free(&packet); }
void Free::operator()(SwsContext* context) const { calls().sws_freeContext(context); }

void keep_quiet() { calls().av_log_set_callback(keep); }

std::string reason(int error) {
  char meaning[AV_ERROR_MAX_STRING_SIZE] = {};
  calls().av_strerror(error, meaning, sizeof meaning);
  std::lock_guard lock(g_mutex);
  const std::string said = std::exchange(g_said, "");
  return said.empty() ? meaning : std::string(meaning) + " (" + said + ")";
}

}  // namespace osprey::ffmpeg
