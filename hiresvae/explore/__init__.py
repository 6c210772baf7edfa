"""A page on the user's own machine to play with a model.

It is a page of our own on the standard library's ``http.server``, not Gradio. Gradio 6.31 was
tried: with its analytics switched off its page asks nothing of other hosts, but it would be an
extra of 19 packages that we do not have otherwise (pandas and a web framework among them), 180 MB
and six seconds of computing to import, and it keeps an uploaded picture in a file. What is needed,
pictures that follow sliders, a drop zone and downloads, is one file each of HTML, CSS and
JavaScript. So there is no extra to install, a dropped picture is written nowhere and read by our
own decoding alone, and the policy that the page is served with makes the browser see to it that
nothing leaves the machine.
"""
