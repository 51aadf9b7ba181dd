// FFmpeg's functions, which are looked for when the first video is opened: its libraries bring a hundred
// others with them, and who looks at images alone neither needs them nor waits for them. For .cpp files, as
// it includes FFmpeg's headers.
#pragma once

#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

// Those of each library that are called; side data of a stream has two forms.
#define OSPREY_AVUTIL(X)                                                                                 \
  X(av_d2q)                                                                                              \
  X(av_frame_alloc)                                                                                      \
  X(av_frame_free) X(av_frame_get_buffer) X(av_frame_make_writable) X(av_log_set_callback) X(av_opt_set) \
      X(av_rescale_q) X(av_strerror)
#define OSPREY_AVCODEC(X)                                                                              \
  X(av_packet_alloc)                                                                                   \
  X(av_packet_free)                                                                                    \
  X(av_packet_rescale_ts) X(av_packet_unref) X(avcodec_alloc_context3) X(avcodec_find_encoder)         \
      X(avcodec_find_encoder_by_name) X(avcodec_free_context) X(avcodec_open2)                         \
          X(avcodec_parameters_from_context) X(avcodec_parameters_to_context) X(avcodec_receive_frame) \
              X(avcodec_receive_packet) X(avcodec_send_frame) X(avcodec_send_packet)
#define OSPREY_AVFORMAT(X)                                                                          \
  X(av_find_best_stream)                                                                            \
  X(av_find_input_format)                                                                           \
  X(av_guess_format) X(av_guess_frame_rate) X(av_interleaved_write_frame) X(av_read_frame)          \
      X(av_write_trailer) X(avformat_alloc_context) X(avformat_alloc_output_context2)               \
          X(avformat_close_input) X(avformat_find_stream_info) X(avformat_free_context)             \
              X(avformat_new_stream) X(avformat_open_input) X(avformat_write_header) X(avio_closep) \
                  X(avio_open)
#define OSPREY_SWSCALE(X) \
  X(sws_freeContext)      \
  X(sws_getCoefficients)  \
  X(sws_getColorspaceDetails) X(sws_getContext) X(sws_scale) X(sws_setColorspaceDetails)
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
#define OSPREY_SIDE_DATA_OF_AVCODEC(X) X(av_packet_side_data_get)
#define OSPREY_SIDE_DATA_OF_AVFORMAT(X)
#else
#define OSPREY_SIDE_DATA_OF_AVCODEC(X)
#define OSPREY_SIDE_DATA_OF_AVFORMAT(X) X(av_stream_get_side_data)
#endif

namespace osprey::ffmpeg {

struct Calls {
#define OSPREY_DECLARE(name) decltype(&::name) name = nullptr;
  OSPREY_AVUTIL(OSPREY_DECLARE)
  OSPREY_AVCODEC(OSPREY_DECLARE)
  OSPREY_SIDE_DATA_OF_AVCODEC(OSPREY_DECLARE)
  OSPREY_AVFORMAT(OSPREY_DECLARE)
  OSPREY_SIDE_DATA_OF_AVFORMAT(OSPREY_DECLARE)
  OSPREY_SWSCALE(OSPREY_DECLARE)
#undef OSPREY_DECLARE
};

// Error, about the video that needs them: the libraries of the version that this was built with are not
// there.
const Calls& load(const std::string& video);
const Calls& calls();  // behind load()

// Video4Linux2; null where FFmpeg lacks it. Error: libavdevice is not there.
const AVInputFormat* camera_format(const std::string& camera);

}  // namespace osprey::ffmpeg
