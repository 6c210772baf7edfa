"""A page on the user's own machine to play with a model.

It is a page of our own on the standard library's ``http.server``, not Gradio. Gradio would be an
extra of some 50 packages and 150 MB that takes seconds to import, and its page fetches fonts and
asks an outside host for news unless each is switched off; what is needed here, pictures that follow
sliders, a drop zone and downloads, is one file of each HTML, CSS and JavaScript. So there is no
extra to install, nothing leaves the machine, and the policy that the page is served with makes the
browser see to that.
"""
